"""Networks that people have, tiny and with random weights, in every precision."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")

from benchmarks.families import FAMILIES
from partitioner.build import Wish, planned
from partitioner.cut import cut
from partitioner.importers import IMPORTERS, MODULE
from partitioner.importers.request import Request
from partitioner.manifest import Identity, manifest_of
from partitioner.precision import PRECISIONS
from partitioner.precision.convert import converted
from partitioner.precision.measure import measure
from split_core.bundle import Bundle
from tests.partitioner.precision.samples import NOTHING_TO_DO, samples_for

# Cosine of the answer, at least: random weights do not forgive what trained ones do.
ANSWERS = {"mobilenet_v2": 0.7, "resnet": 0.9, "vit": 0.97, "distilbert": 0.97, "unet": 0.9}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", ANSWERS)
def test_answers_stay_near_those_as_exported(family: str, tmp_path: Path) -> None:
    network = IMPORTERS.load(MODULE)(FAMILIES[family].location, Request(args={"size": "tiny"}))
    plan = planned(network, Wish())
    parts = cut(plan.network)
    exported = Bundle(tmp_path, manifest_of(plan.network, parts, Identity(name="x"), plan.blocks), {}, parts.contents())
    samples = samples_for(exported.manifest, 40)
    made = converted(exported, list(PRECISIONS), list(samples.part(slice(0, 16)).batches()))
    clock = itertools.count()
    entries = measure(
        Bundle(tmp_path, made.manifest, {}, {**parts.contents(), **made.contents}),
        samples.part(slice(16, None)),
        lambda: next(clock) / 1e3,
    )
    for name, entry in entries.items():
        [answer] = [*entry["exits"][-1:], *entry["outputs"]]
        print(family, name, answer["cosine"], entry["bytes"] / entry["bytes_exported"])
        assert answer["max_difference"] is not None
        assert answer["cosine"] > (0.999 if name == "fp16" else ANSWERS[family])
    assert entries["int8"]["bytes"] < entries["int8"]["bytes_exported"]
    assert entries["fp16"]["bytes"] < entries["fp16"]["bytes_exported"]
    assert {why for kept in made.kept.values() for why in kept.values()} <= NOTHING_TO_DO
