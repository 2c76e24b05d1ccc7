"""Reads Hugging Face's `preprocessor_config.json`: what a checkpoint says about its pictures.

Only processors whose every step has a counterpart here are taken, and those give the same numbers as
transformers' own that work with Pillow (`*ImageProcessorPil`, before version 5 without a suffix).  The ones
that work with torchvision have another resampling, and may give slightly other numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from split_core.config import parsed
from split_core.errors import ConfigError
from split_core.preprocess import Preprocess
from split_core.registry import suggestion

HALF = [0.5, 0.5, 0.5]
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
SQUARE_224, SHORTEST_224 = {"height": 224, "width": 224}, {"shortest_edge": 224}
BICUBIC = {"resample": 3}

# What a key means that the document leaves out.
COMMON: dict[str, Any] = {
    "do_resize": True,
    "size": SQUARE_224,
    "resample": 2,
    "do_center_crop": False,
    "crop_size": SQUARE_224,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": HALF,
    "image_std": HALF,
}
_CROPPED = {**BICUBIC, "size": SHORTEST_224, "do_center_crop": True}
_MOBILENET = {"size": {"shortest_edge": 256}, "do_center_crop": True}
# The same by processor; ResNet's is ConvNext's, Swin's is ViT's, DINOv2's is Bit's.
PROCESSORS: dict[str, dict[str, Any]] = {
    "ViT": {},
    "DeiT": {**BICUBIC, "size": {"height": 256, "width": 256}, "do_center_crop": True},
    "Beit": BICUBIC,
    "Bit": {**_CROPPED, **CLIP},
    "Blip": {**BICUBIC, **CLIP, "size": {"height": 384, "width": 384}},
    "CLIP": {**_CROPPED, **CLIP},
    "ChineseCLIP": {**_CROPPED, **CLIP},
    "ConvNext": {**BICUBIC, "size": {"shortest_edge": 384}, "crop_pct": 224 / 256},
    "Levit": {**_CROPPED, **IMAGENET},
    "MobileNetV1": _MOBILENET,
    "MobileNetV2": _MOBILENET,
    "MobileViT": {
        **_CROPPED,
        "crop_size": {"height": 256, "width": 256},
        "do_flip_channel_order": True,
    },
    "Pvt": {**BICUBIC, **IMAGENET},
    "Segformer": {**IMAGENET, "size": {"height": 512, "width": 512}},
    "Siglip": BICUBIC,
}
# Nothing of these reaches a picture's numbers: colours are always converted to RGB, labels are no pictures.
SILENT = frozenset(
    {
        "_valid_processor_keys", "data_format", "default_to_square", "device", "disable_grouping",
        "do_convert_rgb", "do_reduce_labels", "feature_extractor_type", "image_processor_type",
        "image_seq_length", "input_data_format", "processor_class", "reduce_labels", "return_tensors",
    }
)  # fmt: skip
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
SAY_IT = "write height, width, ... under preprocess instead"


def read_preprocess(path: Path) -> Preprocess:
    """The preprocessing that a `preprocessor_config.json` or `processor_config.json` describes.

    Raises:
        ConfigError: unreadable, no JSON, or something that has no counterpart here.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON ({error})") from error
    try:
        return preprocess_from_huggingface(document)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def preprocess_from_huggingface(document: Any) -> Preprocess:
    """The preprocessing that a parsed `preprocessor_config.json` describes.

    Args:
        document: the mapping; of a `processor_config.json`, its `image_processor` is read.

    Raises:
        ConfigError: something that has no counterpart here.
    """
    if isinstance(document, Mapping) and isinstance(document.get("image_processor"), Mapping):
        document = document["image_processor"]
    if not isinstance(document, Mapping):
        raise ConfigError(f"expected a mapping of settings, got {type(document).__name__}")
    processor = _processor(document)
    said = COMMON | PROCESSORS[processor] | {key: value for key, value in document.items() if value is not None}
    unread = sorted(key for key, value in said.items() if value and key not in COMMON and key not in SILENT)
    unread = [key for key in unread if key not in PROCESSORS[processor]]
    if unread:
        raise ConfigError(f"{unread[0]}: has no counterpart here, got {str(said[unread[0]])[:80]!r}; {SAY_IT}")
    if said.get("data_format") not in (None, "channels_first"):
        raise ConfigError(f"data_format: expected 'channels_first', got {str(said['data_format'])[:40]!r}; {SAY_IT}")
    return parsed(_geometry(said, processor) | _numbers(said, processor), Preprocess, "preprocessor")


def _processor(document: Mapping[str, Any]) -> str:
    given = document.get("image_processor_type") or document.get("feature_extractor_type")
    if not isinstance(given, str):
        raise ConfigError(f"image_processor_type: missing; is this a preprocessor_config.json?  If so, {SAY_IT}")
    name = given.removesuffix("Fast").removesuffix("Pil")
    name = name.removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    if name not in PROCESSORS:
        near = suggestion(name, list(PROCESSORS))
        raise ConfigError(f"image_processor_type: {given[:40]!r} is none that is read here{near}; {SAY_IT}")
    return name


def _geometry(said: Mapping[str, Any], processor: str) -> dict[str, Any]:
    """Canonical size and how a picture comes to it."""
    filters = said["resample"]
    if type(filters) is not int or filters not in FILTERS:
        raise ConfigError(f"resample: expected one of {', '.join(map(str, FILTERS))} (Pillow's), got {filters!r}")
    found: dict[str, Any] = _resized(said, processor) if said["do_resize"] else {"resize": "none"}
    if said["do_center_crop"]:
        if "height" in found:
            raise ConfigError(f"do_center_crop: {processor} crops while it resizes, a second crop has no counterpart")
        found["height"], found["width"] = _height_width("crop_size", said["crop_size"])
    elif found["resize"] == "exact":
        found["height"], found["width"] = found.pop("resize_to")
    elif "height" not in found:
        raise ConfigError("do_center_crop: false leaves pictures of many sizes; a network that is cut takes one")
    return {**found, "resample": FILTERS[filters]}


def _resized(said: Mapping[str, Any], processor: str) -> dict[str, Any]:
    size = said["size"]
    usual = (COMMON | PROCESSORS[processor])["size"]
    if type(size) is int and "shortest_edge" in usual:
        size = {"shortest_edge": size}
    if not (isinstance(size, Mapping) and "shortest_edge" in size):
        return {"resize": "exact", "resize_to": _height_width("size", size)}
    if set(size) != {"shortest_edge"} or type(size["shortest_edge"]) is not int:
        raise ConfigError(f"size: expected an integer shortest_edge alone, or height and width, got {dict(size)}")
    side = int(size["shortest_edge"])
    if processor == "Levit":
        return {"resize": "shortest", "resize_to": int(256 / 224 * side)}
    if processor == "ConvNext":
        # As there: below 384 a margin is cut off, from 384 on the aspect is not kept.
        if side >= 384:
            return {"resize": "exact", "resize_to": (side, side)}
        shortest = int(side / _positive("crop_pct", said["crop_pct"]))
        return {"resize": "shortest", "resize_to": shortest, "height": side, "width": side}
    return {"resize": "shortest", "resize_to": side}


def _height_width(key: str, value: Any) -> tuple[int, int]:
    if type(value) is int:
        return value, value
    pair: tuple[Any, ...] = tuple(value) if isinstance(value, list | tuple) else ()
    if isinstance(value, Mapping) and set(value) == {"height", "width"}:
        pair = (value["height"], value["width"])
    if len(pair) != 2 or not all(type(side) is int for side in pair):
        raise ConfigError(f"{key}: expected height and width, got {str(value)[:80]}; {SAY_IT}")
    return pair[0], pair[1]


def _positive(key: str, value: Any) -> float:
    if not isinstance(value, int | float) or not value > 0.0:
        raise ConfigError(f"{key}: expected a number greater than 0, got {str(value)[:40]!r}")
    return float(value)


def _numbers(said: Mapping[str, Any], processor: str) -> dict[str, Any]:
    """Pixels to floats."""
    numbers: dict[str, Any] = {"colour": "bgr" if said.get("do_flip_channel_order") else "rgb"}
    numbers["scale"] = _positive("rescale_factor", said["rescale_factor"]) if said["do_rescale"] else 1.0
    # MobileViT's processor has the key and does not look at it.
    if said["do_normalize"] and processor != "MobileViT":
        for ours, theirs in (("mean", "image_mean"), ("std", "image_std")):
            numbers[ours] = said[theirs] if isinstance(said[theirs], list | tuple) else (said[theirs],)
    return numbers
