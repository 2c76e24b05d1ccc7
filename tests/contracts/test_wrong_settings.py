"""Every value of every file that people write may be of the wrong kind: one line in our own words says so.

Where a value may stand is found from good documents: a new setting is tested as soon as one of them has it.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from bandits.path_model import PathModel
from cloud_runtime.config import CloudConfig
from edge_runtime.config import EdgeConfig
from partitioner.manifest import NetworkFile
from split_core.config import parsed
from split_core.errors import ConfigError
from split_core.manifest import Manifest
from split_core.policy import PolicyFile
from split_core.profiles import HwProfile
from split_core.release import Release
from tests.bandits.frames import path_model

ROOT = Path(__file__).parents[2]
WRONG: tuple[Any, ...] = (None, True, -1, 2.5, 1e9, float("nan"), "", "x\ny", [], [[]], {}, {"x": 1}, {1: 2})
# Words of pydantic's, or of the types that it makes of ours.
THEIRS = re.compile(
    r"Input|should be|should have|should match|[Vv]alid |Value error|Assertion|Field|validation error|instance of"
    r"|constrained|function-|nullable|literal\[|tuple\[|list\[|union|\bdict|\bstr\b|\bint\b|\bfloat\b|[Tt]ype="
)

Document = dict[str, Any]


def policy() -> Document:
    guard = {"never_early": [1], "abstain": {"alpha": 0.1, "quantiles": [[0.5], [0.5]]}}
    segments = {"column": "site", "params": {"north": {"per_exit": [0.5]}}}
    return {
        **PolicyFile(bundle_id="0" * 64, exits=({}, {})).model_dump(mode="json"),  # type: ignore[arg-type]
        "guard": guard,
        "envelope": {"share": 0.1, "target": 0.9, "fallback": [0.5]},
        "segments": segments,
    }


def camera() -> Document:
    document: Document = yaml.safe_load((ROOT / "configs" / "edge.yaml").read_text())
    return {**document, "audit": {"share": 0.02}, "metadata": {"site": "north"}, "bandit": {"name": "grid"}}


def following() -> Document:
    """A camera that follows a store of releases."""
    files = ("bundle", "policy", "profile")
    releases = {
        "store": "releases",
        "keys": ["0" * 64],
        "url": "https://fleet.example/door",
        "every_s": 60,
        "agree": 0.8,
    }
    return {**{name: value for name, value in camera().items() if name not in files}, "releases": releases}


def release() -> Document:
    names = ("bundle/manifest.json", "bundle/certificate.json", "policy.yaml", "profile.yaml")
    files = [{"file": name, "sha256": "0" * 64, "bytes": 1} for name in names]
    return {"number": 1, "bundle_id": "a" * 64, "policy_id": "b" * 64, "files": files}


def network(**preprocess: Any) -> Document:
    return {"name": "a", "version": "1", "labels": ["a", "b"], "preprocess": preprocess}


@pytest.fixture(scope="module")
def documents(tiny_bundle: Path) -> list[tuple[type[BaseModel], Document]]:
    manifest = json.loads((tiny_bundle / "manifest.json").read_text())["manifest"]
    return [
        (PolicyFile, policy()),
        (EdgeConfig, camera()),
        (EdgeConfig, following()),
        (Release, release()),
        (CloudConfig, yaml.safe_load((ROOT / "configs" / "cloud.yaml").read_text())),
        (NetworkFile, network(height=8, width=8, resize="shortest", resize_to=8, mean=[0.5])),
        (NetworkFile, network(height=8, width=8, resize_to=[8, 8])),
        (NetworkFile, network(tokeniser="a", max_length=8)),
        (NetworkFile, network(**{"from": "a.json"})),
        (HwProfile, yaml.safe_load((ROOT / "hw_profiles" / "epyc-1-thread.yaml").read_text())),
        (Manifest, manifest),
        (PathModel, path_model(3).model_dump(mode="json")),
    ]


Steps = tuple[Any, ...]


def places(value: Any, at: Steps = ()) -> Iterator[Steps]:
    """Where values stand in a document; of a list its first item stands for all."""
    if at:
        yield at
    steps = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from places(inner, (*at, step))


def changed(document: Document, at: Steps, value: Any) -> Document:
    document = copy.deepcopy(document)
    inside: Any = document
    for step in at[:-1]:
        inside = inside[step]
    inside[at[-1]] = value
    return document


def refusal(document: Any, model: type[BaseModel]) -> str:
    """Why it is none; empty when it is one."""
    try:
        parsed(document, model, "here")
    except ConfigError as error:
        return str(error)
    return ""


def test_whatever_is_wrong_is_one_line_in_our_own_words(documents: list[tuple[type[BaseModel], Document]]) -> None:
    refused = 0
    for model, document in documents:
        assert refusal(document, model) == ""
        for at in places(document):
            for wrong in WRONG:
                said = refusal(changed(document, at, wrong), model)
                refused += bool(said)
                assert not THEIRS.search(said), f"{model.__name__}.{at} = {wrong!r}: {said}"
                assert "\n" not in said
    assert refused > 1_000


def test_the_place_is_named_as_it_was_written(documents: list[tuple[type[BaseModel], Document]]) -> None:
    for model, document in documents:
        for at in places(document):
            said = refusal(changed(document, at, {"unheard_of": [[]]}), model)
            where = said.removeprefix("here: ").partition(": ")[0]
            written = ".".join(map(str, at))
            about_several = " " in where or f"{written}.".startswith(f"{where}.")  # a rule
            assert not said or about_several or f"{where}.".startswith(f"{written}."), f"{written}: {said}"
