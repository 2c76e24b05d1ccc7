from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partitioner.huggingface import PROCESSORS, preprocess_from_huggingface, read_preprocess
from split_core.errors import ConfigError
from split_core.preprocess import Preprocess

# Odd, tiny, long, and larger than what they are resized to.
SIZES = ((37, 53), (200, 171), (1, 1), (3, 90), (311, 260), (480, 640))
MODULES = {
    "ViT": "vit", "DeiT": "deit", "Beit": "beit", "Bit": "bit", "Blip": "blip", "CLIP": "clip",
    "ChineseCLIP": "chinese_clip", "ConvNext": "convnext", "Levit": "levit", "MobileNetV1": "mobilenet_v1",
    "MobileNetV2": "mobilenet_v2", "MobileViT": "mobilevit", "Pvt": "pvt", "Segformer": "segformer", "Siglip": "siglip",
}  # fmt: skip
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in PROCESSORS),
    ("ViT", {"size": 30, "resample": 3}),  # as Swin's checkpoints say it
    ("ViT", {"size": {"height": 20, "width": 33}, "resample": 0, "image_mean": [0.1, 0.2, 0.3]}),
    ("ViT", {"do_rescale": False, "do_normalize": False}),
    ("ViT", {"do_rescale": False, "image_mean": [120.0, 110.0, 100.0], "image_std": [58.0, 57.0, 59.0]}),
    ("ViT", {"rescale_factor": 1 / 127.5, "image_mean": 1.0, "image_std": 1.0}),
    ("DeiT", {"do_resize": False, "crop_size": 100}),
    ("DeiT", {"size": 20, "crop_size": {"height": 25, "width": 24}}),
    ("ConvNext", {"size": {"shortest_edge": 224}}),  # as ResNet's checkpoints say it
    ("ConvNext", {"size": 60, "crop_pct": 0.9, "resample": 2}),
    ("MobileNetV2", {"size": {"shortest_edge": 21}, "crop_size": {"height": 24, "width": 25}}),
    ("MobileNetV1", {"size": 64, "crop_size": 51, "resample": 1}),
    ("Bit", {"size": {"shortest_edge": 31}, "crop_size": {"height": 17, "width": 31}, "resample": 4}),
    ("MobileViT", {"do_normalize": True, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}),
]


def theirs(name: str, said: dict[str, Any]) -> Any:
    pytest.importorskip("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(f"transformers.models.{MODULES[name]}.image_processing_pil_{MODULES[name]}")
        return getattr(module, f"{name}ImageProcessorPil")(**said)


@pytest.mark.parametrize(("name", "said"), VARIANTS)
def test_pictures_become_the_numbers_that_transformers_makes_of_them(name: str, said: dict[str, Any]) -> None:
    processor = theirs(name, said)
    written = json.loads(json.dumps(processor.to_dict()))
    short = {"image_processor_type": f"{name}ImageProcessor", **said}
    ours = preprocess_from_huggingface(written)
    assert preprocess_from_huggingface(short) == ours
    rng = np.random.default_rng(7)
    for height, width in SIZES:
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        [expected] = processor(pixels, return_tensors="np", input_data_format="channels_last")["pixel_values"]
        np.testing.assert_array_equal(ours.tensor(ours.canonical(pixels))[0], expected)


def test_resnets_convnexts_and_swins_checkpoints_are_read() -> None:
    resnet = preprocess_from_huggingface(
        {
            "crop_pct": 0.875, "do_normalize": True, "do_resize": True, "feature_extractor_type": "ConvNextFeatureExtractor",
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": 224,
        }
    )  # fmt: skip
    assert resnet == Preprocess(
        height=224, width=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize="shortest",
        resize_to=256, resample="bicubic",
    )  # fmt: skip
    swin = preprocess_from_huggingface({"feature_extractor_type": "ViTFeatureExtractor", "size": 256, "resample": 3})
    assert swin == Preprocess(height=256, width=256, mean=(0.5,) * 3, std=(0.5,) * 3, resample="bicubic")


def test_from_384_on_convnext_keeps_no_aspect() -> None:
    found = preprocess_from_huggingface(
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}}
    )
    assert (found.resize, found.resize_to, found.image_shape) == ("exact", None, (384, 384, 3))


def test_a_processor_config_holds_the_image_processor() -> None:
    inner = {"image_processor_type": "CLIPImageProcessorFast", "size": {"shortest_edge": 224}}
    document = {"image_processor": inner, "processor_class": "CLIPProcessor", "tokenizer": {"padding": True}}
    assert preprocess_from_huggingface(document) == preprocess_from_huggingface(inner)
    assert preprocess_from_huggingface(inner).resize_to == 224


VIT = {"image_processor_type": "ViTImageProcessor"}
MOBILE = {"image_processor_type": "MobileNetV2ImageProcessor"}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "expected a mapping"),
        ({}, "image_processor_type: missing"),
        ({"image_processor_type": "DetrImageProcessor"}, "'DetrImageProcessor' is none that is read here"),
        ({"image_processor_type": 3}, "image_processor_type: missing"),
        ({**VIT, "do_pad": True}, "do_pad: has no counterpart here"),
        ({**VIT, "rescale_offset": True}, "rescale_offset: has no counterpart"),
        ({**VIT, "crop_pct": 0.9}, "crop_pct: has no counterpart"),
        ({**VIT, "data_format": "channels_last"}, "data_format: expected 'channels_first'"),
        ({**VIT, "resample": 5}, "resample: expected one of 0, 1, 2, 3, 4"),
        ({**VIT, "resample": "bilinear"}, "resample: expected one of"),
        ({**VIT, "size": {"longest_edge": 800}}, "size: expected height and width"),
        ({**VIT, "size": {"shortest_edge": 8, "longest_edge": 9}}, "shortest_edge alone"),
        ({**VIT, "size": {"height": "224", "width": 224}}, "size: expected height and width"),
        ({**VIT, "size": {"height": -1, "width": 224}}, "preprocessor: height: expected a whole number above 0"),
        ({**VIT, "do_resize": False}, "leaves pictures of many sizes"),
        ({**MOBILE, "do_center_crop": False}, "leaves pictures of many sizes"),
        ({**VIT, "rescale_factor": 0}, "rescale_factor: expected a number greater than 0"),
        ({**VIT, "rescale_factor": "1/255"}, "rescale_factor: expected a number greater than 0"),
        ({**VIT, "image_mean": [0.5, 0.5]}, "preprocessor: mean: expected 1 or 3 numbers"),
        ({**VIT, "image_std": [0.5, "x", 0.5]}, "preprocessor: std.1: expected a number, got 'x'"),
        ({"image_processor_type": "ConvNextImageProcessor", "size": 224, "crop_pct": 0}, "crop_pct: expected a number"),
        ({"image_processor_type": "ConvNextImageProcessor", "size": 224, "do_center_crop": True}, "no counterpart"),
        ({**VIT, "size": {"height": float("nan"), "width": 224}}, "size: expected height and width"),
    ],
)
def test_what_has_no_counterpart_is_refused_in_one_line(document: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        preprocess_from_huggingface(document)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not valid JSON"), ("\xff", "not valid JSON"), ("[" * 100_000, "not valid JSON")]
)
def test_a_file_that_is_no_json_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        read_preprocess(path)
    assert str(caught.value).startswith(f"{path}: {words}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_bad_one_are_named(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_preprocess(path)
    path.write_text(json.dumps({**VIT, "do_pad": True}))
    with pytest.raises(ConfigError) as caught:
        read_preprocess(path)
    assert str(caught.value).startswith(f"{path}: do_pad")
