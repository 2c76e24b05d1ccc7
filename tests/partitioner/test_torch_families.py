"""Every family of `benchmarks.families`, tiny: exported, and the same function as the module."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")

from benchmarks.families import FAMILIES  # noqa: E402
from partitioner.importers.exported import Exported  # noqa: E402
from partitioner.importers.module import built  # noqa: E402
from partitioner.importers.torch import export_factory  # noqa: E402
from partitioner.importers.torch_derive import derived  # noqa: E402
from partitioner.importers.torch_outputs import outputs_of  # noqa: E402
from split_core.tensors import Array  # noqa: E402

TINY = {"size": "tiny"}
TOLERANCE = 1e-4  # share of the largest value; float32 sums in another order


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> tuple[str, Exported]:
    return request.param, export_factory(FAMILIES[request.param].location, TINY)


def fresh_inputs(exported: Exported, batch: int, sequence: int) -> dict[str, Array]:
    """Other values than those of the export: the examples' rows, shuffled and stretched."""
    rng, feeds = np.random.default_rng(7), {}
    for name, example in exported.examples.items():
        if example.dtype.kind == "f":
            feeds[name] = rng.standard_normal((batch, *example.shape[1:])).astype(example.dtype)
        elif name.endswith("mask"):
            feeds[name] = np.ones((batch, sequence), example.dtype)
        else:
            feeds[name] = rng.choice(example.ravel(), (batch, sequence))
    return feeds


@pytest.mark.timeout(240)
def test_every_family_is_exported_and_is_the_same_function_at_every_size(family: tuple[str, Exported]) -> None:
    name, exported = family
    assert (exported.exporter, exported.notes) == ("dynamo", ())
    assert tuple(item.name for item in exported.model.graph.output) == FAMILIES[name].outputs
    assert list(exported.axes) == (["sequence"] if FAMILIES[name].tokens else [])
    network, _ = built(FAMILIES[name].location, TINY)
    session = onnxruntime.InferenceSession(exported.model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch, sequence in [(1, 16), (3, 16), (3, 23)] if exported.axes else [(1, 0), (3, 0), (5, 0)]:
        feeds = fresh_inputs(exported, batch, sequence)
        with torch.no_grad():
            expected = outputs_of(network(**{key: torch.from_numpy(value) for key, value in feeds.items()}))
        for got, wanted in zip(session.run(None, feeds), expected.values(), strict=True):
            scale = max(float(np.abs(wanted.numpy()).max()), 1e-3)
            assert got.shape == tuple(wanted.shape)
            assert float(np.abs(got - wanted.numpy()).max()) <= TOLERANCE * scale
            assert np.isfinite(got).all()


def test_every_family_says_which_axes_of_its_outputs_are_dynamic(family: tuple[str, Exported]) -> None:
    name, exported = family
    for item in exported.model.graph.output:
        dims = [dim.dim_param or dim.dim_value for dim in item.type.tensor_type.shape.dim]
        assert dims[0] == "batch"
        assert ("sequence" in dims) == (FAMILIES[name].tokens and FAMILIES[name].outputs == ("output",))


def test_every_node_of_a_family_knows_its_block(family: tuple[str, Exported]) -> None:
    _, exported = family
    named = [node for node in exported.model.graph.node if node.metadata_props]
    assert len(named) > 0.8 * len(exported.model.graph.node)


def test_the_mask_of_a_text_network_is_used() -> None:
    exported = export_factory(FAMILIES["bert"].location, TINY)
    session = onnxruntime.InferenceSession(exported.model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = fresh_inputs(exported, 1, 16)
    (full,) = session.run(None, feeds)
    feeds["attention_mask"][0, 8:] = 0
    (masked,) = session.run(None, feeds)
    assert np.abs(full - masked).max() > 1e-5


def test_a_network_whose_config_has_no_image_size_is_taken_at_the_usual_one() -> None:
    network, _ = built(FAMILIES["resnet"].location, TINY)
    assert derived("net", network)[0][0].dims == ("batch", 3, 64, 64)
    del network.config.image_size
    specs, _, _, notes = derived("net", network)
    assert specs[0].dims == ("batch", 3, 224, 224)
    assert "taken as 224x224" in notes[0]
