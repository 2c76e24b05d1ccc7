"""Weights of several segments are stored once; a bundle with them is proved and loads like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from partitioner import build
from partitioner.build import Wish
from partitioner.manifest import Identity
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle as bundles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.errors import BundleError
from tests.partitioner.graphs import value

SIDE = 600  # 1.4 MB


def tied(folder: Path, *, outside: bool) -> Path:
    """x -> w -> Relu -> w again -> Relu -> another weight -> Relu -> logits; the weights inside, or in a file beside it."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(0, SIDE**-0.5, (SIDE, SIDE)).astype(np.float32) for name in ("w", "v")}
    weights["end"] = rng.normal(size=(SIDE, 3)).astype(np.float32)
    nodes = []
    for step, weight in enumerate(("w", "w", "v"), 1):
        taken = "x" if step == 1 else f"h_{step - 1}"
        nodes.append(helper.make_node("MatMul", [taken, weight], [f"m_{step}"]))
        nodes.append(helper.make_node("Relu", [f"m_{step}"], [f"h_{step}"]))
    nodes.append(helper.make_node("MatMul", ["h_3", "end"], ["logits"]))
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "tied", [value("x", SIDE)], [value("logits", 3)], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = folder / "tied.onnx"
    onnx.save(model, path, save_as_external_data=outside, location="tied.data")
    return path


def partitioned(path: Path, out: Path, clock: Callable[[], float]) -> Path:
    return build.partition(
        read_network(str(path)),
        out,
        identity=Identity(name="tied"),
        wish=Wish("h_1,h_2"),
        trial=Trial(),
        clock=clock,
    )


@pytest.fixture(params=[False, True], ids=["weights inside", "weights outside"])
def tied_bundle(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param:
        monkeypatch.setattr("partitioner.importers.onnx.MOST_INSIDE", 0)
    return partitioned(tied(tmp_path, outside=request.param), tmp_path / "bundles", lambda: 0.0)


def test_what_two_segments_use_is_stored_once(tied_bundle: Path) -> None:
    stored = sum(file.stat().st_size for file in (tied_bundle / "segments").iterdir())
    once = 4 * (2 * SIDE * SIDE + 3 * SIDE)
    assert once <= stored < 1.02 * once
    first, second, third = bundles.load(tied_bundle).manifest.segments
    shared = [file.file for file in first.weights if "shared" in file.file]
    assert shared == ["segments/shared.weights"]
    assert first.weights[-1:] == second.weights[-1:]
    assert "segments/shared.weights" not in [file.file for file in third.weights]


def test_segments_that_share_give_what_the_network_gives(tied_bundle: Path, tmp_path: Path) -> None:
    loaded, backend = bundles.load(tied_bundle), OnnxRuntimeBackend()
    x = np.random.default_rng(1).normal(size=(2, SIDE)).astype(np.float32)
    state = [x]
    for piece in loaded.manifest.segments:
        state = loaded.session(piece, backend, threads=1).run(state)
    network = read_network(str(tmp_path / "tied.onnx"))
    whole = backend.load(network.model.SerializeToString(), threads=1, folder=network.folder).run([x])
    assert np.allclose(state[0], whole[0], atol=1e-5)


def test_a_changed_shared_weight_is_noticed(tied_bundle: Path) -> None:
    path = tied_bundle / "segments" / "shared.weights"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"shared\.weights: sha256 is"):
        bundles.load(tied_bundle)
