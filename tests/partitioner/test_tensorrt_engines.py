"""A real TensorRT parses and builds every piece of every family, with no driver: `make test-tensorrt`.

It is TensorRT-RTX, which can aim at a GPU that is not here.  That shows that its operators, its types and its dynamic
shapes take our pieces; it does not show that an engine runs, what it computes or how fast.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from partitioner.build import Wish, planned
from partitioner.cut import cut
from partitioner.examples import invented
from partitioner.importers import IMPORTERS, MODULE
from partitioner.importers.request import Request
from partitioner.manifest import Identity, manifest_of
from partitioner.network import Network
from partitioner.precision import PRECISIONS
from partitioner.precision.convert import converted
from split_core.backends.onnx_signature import read_signature
from split_core.backends.tensorrt_build import Recipe, serialised_engine
from split_core.bundle import Bundle
from split_core.errors import BackendError
from tests.split_core.backends import pieces
from tests.tiny import tiny_model

trt = pytest.importorskip("tensorrt_rtx", reason="needs the package tensorrt-rtx, see `make test-tensorrt`")
pytestmark = pytest.mark.tensorrt

ROOT = Path(__file__).parents[2]
TARGET = "SM86"
# TensorRT limits a pooling window; this network's is 2560 x 2560, over whatever is there.
REFUSED = {"efficientnet": ["AveragePool"]}

AS_EXPORTED = "as exported"
FOR_TENSORRT = [name for name in PRECISIONS if PRECISIONS.load(name).backend == "tensorrt"]

# Name to network; a family is plugged in by a line.
FAMILIES: dict[str, Callable[[Path], Network]] = {
    "tiny": lambda folder: imported(".onnx", saved(tiny_model(), folder)),
    "demo": lambda _: imported(".onnx", str(ROOT / "configs" / "demo" / "network.onnx")),
}


def imported(importer: str, location: str, **args: str) -> Network:
    network: Network = IMPORTERS.load(importer)(location, Request(args=args))
    return network


def saved(model: ModelProto, folder: Path) -> str:
    onnx.save(model, folder / "model.onnx")
    return str(folder / "model.onnx")


def exported(family: Any) -> Callable[[Path], Network]:
    return lambda _: imported(MODULE, family.location, size="tiny", **family.args)


try:
    from benchmarks import families
except ModuleNotFoundError:  # no torch, no transformers
    SLOW = []
else:
    SLOW = list(families.FAMILIES)
    FAMILIES |= {name: exported(family) for name, family in families.FAMILIES.items()}


def engine(content: bytes, **recipe: Any) -> bytes:
    """Built for what the piece's dynamic axes are called."""
    signature = read_signature(content)
    names = {size for port in signature.inputs for size in port.shape if isinstance(size, str)}
    ranges = {name: (1, 1, 8) if name == "batch" else (8, 16, 32) for name in names}
    return serialised_engine(trt, content, signature, Recipe(target=TARGET, ranges=ranges, **recipe))


@pytest.fixture(scope="module")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """The pieces of a family as exported, not proved and not written."""

    @cache
    def made(family: str) -> Bundle:
        folder = tmp_path_factory.mktemp(family)
        plan = planned(FAMILIES[family](folder), Wish())
        parts = cut(plan.network)
        manifest = manifest_of(plan.network, parts, Identity(name=family), plan.blocks)
        contents = {part.file: part.model for part in (*parts.segments, *parts.heads)}
        return Bundle(folder, manifest, {}, contents)

    return made


def pieces_of(bundle: Bundle, precision: str) -> dict[str, bytes]:
    """Those that it has, or makes of them, in a precision; those that stay as exported are left out."""
    if precision == AS_EXPORTED:
        return {piece.file: bundle.content(piece) for piece in bundle.manifest.pieces()}
    samples = list(invented(bundle.manifest, 8, seed=0).batches())
    return dict(converted(bundle, [precision], samples).contents)


@pytest.mark.parametrize("precision", [AS_EXPORTED, *FOR_TENSORRT])
@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FAMILIES]
)
def test_every_piece_is_parsed_and_built(bundle_of: Callable[[str], Bundle], family: str, precision: str):
    made = pieces_of(bundle_of(family), precision)
    assert made
    refused = []
    for content in made.values():
        try:
            assert len(engine(content)) > 1_000
        except BackendError as error:
            refused.append(str(error))
    assert [said for said in refused if not any(known in said for known in REFUSED.get(family, []))] == []
    assert len(refused) == len(REFUSED.get(family, []))


def test_fp16_is_what_the_model_says():
    rng = np.random.default_rng(0)
    assert engine(pieces.linear(rng, np.float16))
    assert engine(pieces.linear(rng, np.float16), precision="fp16")
    with pytest.raises(BackendError, match="takes fp16 from the model only"):
        engine(pieces.linear(rng), precision="fp16")


def test_int8_weights_are_taken():
    assert engine(pieces.quantised(np.random.default_rng(0)))


def test_tokens_and_masks_that_pass_through_are_taken():
    assert engine(pieces.encoder(np.random.default_rng(0)))


def test_weights_outside_of_the_model_are_found(tmp_path: Path):
    content = pieces.with_weights_outside(np.random.default_rng(0), tmp_path)
    assert serialised_engine(trt, content, read_signature(content), Recipe(target=TARGET), tmp_path)


def test_the_parser_renames_an_input_that_is_an_output():
    content = pieces.encoder(np.random.default_rng(0))
    network = trt.Builder(trt.Logger()).create_network(0)
    assert trt.OnnxParser(network, trt.Logger()).parse(content)
    # What `engine_name` is for.
    assert [network.get_input(index).name for index in range(3)] == ["tokens", "__mask", "unused"]


def test_a_node_that_it_does_not_know_is_named():
    model = tiny_model()
    model.graph.node[2].op_type = "FooBar"
    with pytest.raises(BackendError, match=r'node 2 \(FooBar -> "pool_1"\): .*Plugin not found') as caught:
        engine(model.SerializeToString())
    assert "\n" not in str(caught.value)


def test_a_target_that_it_does_not_know_is_refused():
    content = tiny_model().SerializeToString()
    with pytest.raises(BackendError, match="not for SM10"):
        serialised_engine(trt, content, read_signature(content), Recipe(target="SM10"))


def test_it_has_every_name_that_we_call_it_by():
    """The stand-ins of the other tests have these because this one has them."""
    wanted = {
        trt.Builder: (
            "create_network",
            "create_builder_config",
            "create_optimization_profile",
            "build_serialized_network",
        ),
        trt.IBuilderConfig: ("set_flag", "clear_flag", "set_memory_pool_limit", "add_optimization_profile"),
        trt.OnnxParser: ("parse", "num_errors", "get_error"),
        trt.ParserError: ("node", "desc"),
        trt.Runtime: ("deserialize_cuda_engine",),
        trt.ICudaEngine: (
            "num_io_tensors",
            "get_tensor_name",
            "get_tensor_mode",
            "get_tensor_dtype",
            "get_tensor_location",
            "create_execution_context",
        ),
        trt.IExecutionContext: ("set_input_shape", "set_tensor_address", "get_tensor_shape", "execute_async_v3"),
        trt.DataType: ("FLOAT", "HALF", "INT8", "UINT8", "INT32", "INT64", "BOOL"),
        trt.TensorIOMode: ("INPUT", "OUTPUT"),
        trt.TensorLocation: ("DEVICE", "HOST"),
        trt.MemoryPoolType: ("WORKSPACE",),
        trt.Logger: ("ERROR", "INTERNAL_ERROR"),
    }
    assert [
        f"{kind.__name__}.{name}" for kind, names in wanted.items() for name in names if not hasattr(kind, name)
    ] == []
