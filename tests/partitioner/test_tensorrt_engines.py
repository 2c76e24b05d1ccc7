"""A real TensorRT parses and builds every piece of every family, with no driver: `make test-tensorrt`.

It is TensorRT-RTX, which can aim at a GPU that is not here.  That shows that its operators, its types and its dynamic
shapes take our pieces; it does not show that an engine runs, what it computes or how fast.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from partitioner.build import Wish, planned
from partitioner.cut import cut
from partitioner.importers.onnx import network_of
from split_core.backends.onnx_signature import read_signature
from split_core.backends.tensorrt_build import Recipe, serialised_engine
from split_core.errors import BackendError
from tests.split_core.backends import pieces
from tests.tiny import tiny_model

trt = pytest.importorskip("tensorrt_rtx", reason="needs the package tensorrt-rtx, see `make test-tensorrt`")
pytestmark = pytest.mark.tensorrt

ROOT = Path(__file__).parents[2]
TARGET = "SM86"
RANGES = {"batch": (1, 1, 8), "sequence": (8, 16, 64)}

# Name to whole network.  Its pieces are those at its own cuts, else at those that are chosen for it.
FAMILIES: dict[str, Callable[[], ModelProto]] = {
    "tiny": tiny_model,
    "demo": lambda: onnx.load(ROOT / "configs" / "demo" / "network.onnx"),
}


def pieces_of(model: ModelProto) -> dict[str, bytes]:
    network = network_of(model, {"file": "model.onnx", "sha256": "0" * 64}, {})
    return cut(planned(network, Wish()).network).contents()


def engine(content: bytes, **recipe: Any) -> bytes:
    return serialised_engine(
        trt, content, read_signature(content), Recipe(target=TARGET, **{"ranges": RANGES, **recipe})
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_piece_is_parsed_and_built(family: str):
    built = {file: len(engine(content)) for file, content in pieces_of(FAMILIES[family]()).items()}
    assert len(built) >= 2
    assert min(built.values()) > 1_000, built


def test_fp16_is_what_the_model_says():
    rng = np.random.default_rng(0)
    assert engine(pieces.linear(rng, np.float16), precision="fp16")
    with pytest.raises(BackendError, match="takes fp16 from the model only"):
        engine(pieces.linear(rng), precision="fp16")


def test_int8_weights_are_taken():
    assert engine(pieces.quantised(np.random.default_rng(0)), precision="int8")


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
