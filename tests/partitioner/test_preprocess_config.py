from __future__ import annotations

import json
from pathlib import Path

import pytest

from partitioner.manifest import NetworkFile
from partitioner.preprocess import settled
from split_core.config import load
from split_core.errors import ConfigError, DataError
from split_core.preprocess import Preprocess
from split_core.tokeniser import Tokeniser

CONFIGS = Path(__file__).parents[2] / "configs"


def said(folder: Path, preprocess: str) -> Preprocess | Tokeniser | None:
    path = folder / "network.yaml"
    path.write_text(f"preprocess: {preprocess}\n")
    return settled(load(path, NetworkFile).preprocess, folder)


def test_the_example_names_every_key_of_an_image() -> None:
    text = (CONFIGS / "network.yaml").read_text()
    network = load(CONFIGS / "network.yaml", NetworkFile)
    assert network.preprocess == Preprocess(
        height=224, width=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize="shortest",
        resize_to=256, resample="bilinear",
    )  # fmt: skip
    assert [key for key in Preprocess.model_fields if f"  {key}:" not in text] == []
    assert [key for key in Tokeniser.model_fields if f"#   {key}:" not in text] == []


def test_yaml_from_before_the_newer_keys_is_read() -> None:
    found = load(CONFIGS / "demo" / "network.yaml", NetworkFile).preprocess
    assert found == Preprocess(height=28, width=28, colour="gray", mean=(0.2860,), std=(0.3530,))


def test_a_hugging_face_file_is_found_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "ViTImageProcessor"}))
    assert said(tmp_path, "{from: preprocessor_config.json}") == Preprocess(
        height=224, width=224, mean=(0.5,) * 3, std=(0.5,) * 3
    )


def test_a_tokeniser_may_be_a_name_or_a_file_which_is_hashed(tmp_path: Path) -> None:
    named = said(tmp_path, "{tokeniser: org/name, max_length: 128}")
    assert named == Tokeniser(tokeniser="org/name", max_length=128)
    (tmp_path / "tokenizer.json").write_text("{}")
    held = said(tmp_path, "{tokeniser: tokenizer.json}")
    assert isinstance(held, Tokeniser)
    assert held.sha256 is not None


@pytest.mark.parametrize(
    ("preprocess", "words"),
    [
        ("{from: nothing.json}", "nothing.json: cannot be read"),
        ("{from: preprocessor_config.json, height: 8}", "preprocess.height: unknown key"),
        ("{tokeniser: tokenizer.json}", "tokenizer.json is no file"),
        ("{tokeniser: bert, max_lenght: 8}", "preprocess.max_lenght: unknown key; did you mean 'max_length'?"),
        ("{height: 8, width: 8, resampel: box}", "preprocess.resampel: unknown key; did you mean 'resample'?"),
        ("{height: 8}", "preprocess.width: expected a value, there is none"),
        ("[8, 8]", "preprocess: expected a mapping of settings"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, preprocess: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        said(tmp_path, preprocess)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tokeniser_with_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="give that file"):
        said(tmp_path, f"{{tokeniser: tokenizer.json, sha256: '{'0' * 64}'}}")
