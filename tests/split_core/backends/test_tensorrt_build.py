"""What is asked of each generation of TensorRT: only what it has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from split_core.backends.onnx_signature import read_signature
from split_core.backends.tensorrt_build import Recipe, serialised_engine
from split_core.errors import BackendError
from tests.split_core.backends import pieces
from tests.split_core.backends.fake_cuda import FakeCuda
from tests.split_core.backends.fake_tensorrt import GENERATIONS, FakeConfig, FakeTensorRt, Trt8, Trt10, Trt11
from tests.tiny import tiny_model

RNG = np.random.default_rng(3)
FLOAT, HALF, INT8 = pieces.linear(RNG), pieces.linear(RNG, np.float16), pieces.quantised(RNG)


@pytest.fixture
def cuda():
    made = FakeCuda()
    context = made.Device(0).retain_primary_context()
    context.push()
    yield made
    context.pop()


@pytest.fixture(params=list(GENERATIONS))
def trt(request: pytest.FixtureRequest, cuda: FakeCuda) -> FakeTensorRt:
    made: FakeTensorRt = GENERATIONS[request.param](cuda)
    return made


def built(trt: FakeTensorRt, content: bytes, **recipe) -> FakeConfig:
    assert serialised_engine(trt, content, read_signature(content), Recipe(**recipe))
    return trt.builds[-1]


def flags(trt: FakeTensorRt, config: FakeConfig) -> set[str]:
    return {name for name, number in vars(trt.BuilderFlag).items() if number in config.flags}


def test_fp32_sets_nothing_and_turns_tf32_off(trt: FakeTensorRt):
    config = built(trt, FLOAT)
    assert flags(trt, config) == set()
    assert config.cleared == {trt.BuilderFlag.TF32}


@pytest.mark.parametrize("generation", [Trt8, Trt10])
def test_with_flags_any_model_may_be_fp16(generation: type[FakeTensorRt], cuda: FakeCuda):
    trt = generation(cuda)
    assert flags(trt, built(trt, FLOAT, precision="fp16")) == {"FP16"}
    assert flags(trt, built(trt, HALF, precision="fp16")) == {"FP16"}


def test_without_flags_fp16_must_be_in_the_model(cuda: FakeCuda):
    trt = Trt11(cuda)
    assert flags(trt, built(trt, HALF, precision="fp16")) == set()
    with pytest.raises(
        BackendError, match=r"x -> y is float32 and TensorRT 11\.4\.0\.106 takes fp16 from the model only"
    ):
        built(trt, FLOAT, precision="fp16")


def test_types_that_are_in_the_model_are_allowed_where_that_is_asked(trt: FakeTensorRt):
    there = set(vars(trt.BuilderFlag))
    assert flags(trt, built(trt, INT8)) == {"INT8"} & there
    assert flags(trt, built(trt, HALF)) == {"FP16"} & there


def test_int8_beside_fp16_sets_both(cuda: FakeCuda):
    trt = Trt10(cuda)
    assert flags(trt, built(trt, INT8, precision="fp16")) == {"FP16", "INT8"}


def test_a_piece_without_weights_has_no_precision(trt: FakeTensorRt):
    content = pieces.model(
        [pieces.helper.make_node("Relu", ["x"], ["y"])],
        [pieces.value("x", pieces.FLOAT, "batch", 4)],
        [pieces.value("y", pieces.FLOAT, "batch", 4)],
    )
    assert built(trt, content, precision="fp16")


def test_networks_are_made_as_each_generation_wants(cuda: FakeCuda):
    eight, ten, eleven = (built(generation(cuda), FLOAT).network_flags for generation in (Trt8, Trt10, Trt11))
    assert eight == 1 << Trt8.NetworkDefinitionCreationFlag.EXPLICIT_BATCH
    assert ten == 1 << Trt10.NetworkDefinitionCreationFlag.EXPLICIT_BATCH
    assert eleven == 1 << Trt11.NetworkDefinitionCreationFlag.STRONGLY_TYPED


def test_ranges_become_shapes_of_every_dynamic_input(trt: FakeTensorRt):
    config = built(trt, pieces.encoder(RNG), ranges={"batch": (1, 2, 8), "sequence": (4, 16, 32)})
    (profile,) = config.profiles
    assert profile.shapes == {
        "tokens": [[1, 4], [2, 16], [8, 32]],
        "__mask": [[1, 4], [2, 16], [8, 32]],  # as the parser calls an input that is an output as well
        "unused": [[1, 3], [2, 3], [8, 3]],
    }


def test_fixed_inputs_need_no_profile(trt: FakeTensorRt):
    content = pieces.model(
        [pieces.helper.make_node("Relu", ["x"], ["y"])],
        [pieces.value("x", pieces.FLOAT, 1, 4)],
        [pieces.value("y", pieces.FLOAT, 1, 4)],
    )
    assert built(trt, content, ranges={}).profiles == []


def test_the_workspace_is_in_megabytes(trt: FakeTensorRt):
    assert built(trt, FLOAT).pools == {}
    assert built(trt, FLOAT, workspace_mb=3).pools == {trt.MemoryPoolType.WORKSPACE: 3 * 2**20}


def test_a_target_is_refused_where_there_is_none(trt: FakeTensorRt):
    with pytest.raises(BackendError, match="builds for the GPU that it runs on only, not for SM89"):
        built(trt, FLOAT, target="SM89")


def test_a_node_that_the_parser_refuses_is_named_with_the_reason_in_one_line(trt: FakeTensorRt):
    model = tiny_model()
    model.graph.node[2].op_type = "FooBar"
    content = model.SerializeToString()
    with pytest.raises(BackendError) as caught:
        serialised_engine(trt, content, read_signature(content), Recipe())
    assert str(caught.value) == (
        "TensorRT cannot read image -> hidden_1 + hidden_2 + exit_1 + exit_2 + exit_3: "
        'node 2 (FooBar -> "pool_1"): creator && "Plugin not found, are the plugin name and version correct?"'
    )


def test_what_the_builder_complains_about_is_in_the_error(cuda: FakeCuda):
    # A header that does not tell of the weights: then the flag is not set.
    silent = replace(read_signature(HALF), weights=frozenset())
    with pytest.raises(BackendError, match="cannot build x -> y: Network has FP16 tensors but the FP16 flag"):
        serialised_engine(Trt10(cuda), HALF, silent, Recipe())


def test_a_builder_that_cannot_be_made_is_one_line(cuda: FakeCuda):
    class Broken(Trt10):
        def Builder(self, logger):  # noqa: N802
            self.use(logger)
            self.complain("Unable to initialise\n the compiler")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    with pytest.raises(BackendError, match=r"TensorRT 10\.3\.0 has no builder here: Unable to initialise the compiler"):
        built(Broken(cuda), FLOAT)
