"""Every family of networks that people have, from its torch module to a bundle that loads.

Needs torch and transformers; about five seconds each, so the marker is `slow`.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from partitioner.build import Wish, partition, planned
from partitioner.cut import cut
from partitioner.cuts import WIDTH, find_cuts
from partitioner.importers.request import Request
from partitioner.manifest import Identity
from partitioner.network import Network
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle

pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("transformers", reason="needs the package transformers")

import torch

from benchmarks import families
from benchmarks.families import FAMILIES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Layers of the tiny transformers: each adds to the residual stream twice, behind attention and behind the MLP.
LAYERS = {
    **dict.fromkeys(("vit", "deit", "bert", "roberta", "albert", "distilbert"), 3),
    **dict.fromkeys(("gpt2", "gpt2_classifier", "llama", "t5_encoder"), 3),
    "swin": 4,
}


@cache
def imported(family: str) -> Network:
    return read_network(FAMILIES[family].location, Request(args={"size": "tiny"}))


def residual_adds(network: Network, width: int) -> list[str]:
    """Sums of two tensors that both depend on the input, and that cross at some cut: the residual stream."""
    flow = network.flow
    crossing = {name for point in find_cuts(network, width) for name in point.tensors}
    return [
        node.output[0]
        for node, taken in zip(flow.nodes, flow.taken, strict=True)
        if node.op_type == "Add" and flow.variable >= set(node.input) and len(taken) == 2 and node.output[0] in crossing
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_cut_at_five_places_proved_and_loads(family: str, tmp_path: Path) -> None:
    network = imported(family)
    root = partition(network, tmp_path, identity=Identity(name=family), wish=Wish("5"), trial=Trial(), clock=time.time)
    loaded = bundle.load(root)
    assert loaded.manifest.exits == 6
    assert all(entry["bit_equal_off"] for entry in loaded.certificate["cuts"])
    assert (loaded.manifest.labels is None) == ("logits" not in FAMILIES[family].outputs and not network.exits)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_cut_at_every_place_that_is_listed_and_proved(family: str, tmp_path: Path) -> None:
    root = partition(
        imported(family), tmp_path, identity=Identity(name=family), wish=Wish("all"), trial=Trial(), clock=time.time
    )
    loaded = bundle.load(root)
    assert loaded.manifest.exits > 6
    assert loaded.certificate["passed"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_listed_cut_of_a_family_can_be_made_alone(family: str) -> None:
    network = imported(family)
    for row in planned(network, Wish("1")).rows:
        assert len(cut(replace(network, cuts=(row.tensors,))).segments) == 2


@pytest.mark.parametrize("family", LAYERS)
def test_every_residual_stream_point_of_a_transformer_is_found(family: str) -> None:
    # A decoder that classifies at the last token asks the token ids once more where that is: they cross, too.
    found = residual_adds(imported(family), 3 if family == "gpt2_classifier" else WIDTH)
    assert len(found) >= 2 * LAYERS[family], found


def test_the_exits_that_a_module_gives_are_used(tmp_path: Path) -> None:
    plan = planned(imported("branchynet"), Wish())
    assert plan.network.exits == FAMILIES["branchynet"].outputs
    assert plan.network.untrained == ()


class Answer(torch.nn.Module):
    """The tensor in what a model of the transformers library returns."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *taken: torch.Tensor) -> torch.Tensor:
        return self.network(*taken).logits


@pytest.mark.parametrize("family", ["vit", "swin", "bert", "gpt2"])
def test_a_file_of_the_older_exporter_is_cut_as_well(family: str, tmp_path: Path) -> None:
    """It writes three times as many nodes: sizes are read, cut up and put together again in every layer."""
    network = Answer(getattr(families, family)("tiny")).eval()
    taken, axes = torch.randn(2, 3, 32, 32), {0: "batch"}
    if FAMILIES[family].tokens:
        taken, axes = torch.zeros(2, 7, dtype=torch.long), {0: "batch", 1: "sequence"}
    path = tmp_path / f"{family}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {"input_names": ["taken"], "output_names": ["logits"], "dynamic_axes": {"taken": axes}}
        torch.onnx.export(network, (taken,), str(path), dynamo=False, opset_version=14, **names)
    read = read_network(str(path))
    assert len(residual_adds(read, WIDTH)) >= 2 * LAYERS[family]
    root = partition(read, tmp_path, identity=Identity(name="old"), wish=Wish("all"), trial=Trial(), clock=time.time)
    assert bundle.load(root).manifest.exits > 2 * LAYERS[family]
