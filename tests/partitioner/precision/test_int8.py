from __future__ import annotations

from collections import Counter

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from partitioner.precision import PRECISIONS
from partitioner.precision.base import Untouched
from tests.partitioner.precision.networks import attention, normalised

BOTH = ["int8", "int8-tensorrt"]


def quantised(name: str, model: ModelProto) -> ModelProto:
    made: ModelProto = PRECISIONS.load(name)().convert(model, feeds(model))
    return made


def feeds(model: ModelProto) -> list[dict[str, np.ndarray]]:
    shape = [dim.dim_value or 4 for dim in model.graph.input[0].type.tensor_type.shape.dim]
    rng = np.random.default_rng(8)
    return [{"x": rng.standard_normal(shape).astype(np.float32)} for _ in range(6)]


def kinds(model: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def in_8_bits(model: ModelProto, kind: str) -> int:
    """How many nodes of this kind take nothing but what was dequantised."""
    dequantised = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return sum(node.op_type == kind and set(node.input[:2]) <= dequantised for node in model.graph.node)


def answers(model: ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, feed)[0] for feed in feeds(model)])


@pytest.mark.parametrize("name", BOTH)
def test_matrix_products_of_a_transformer_run_in_8_bits_and_its_residual_stream_does_not(name: str) -> None:
    made = quantised(name, attention())
    assert in_8_bits(made, "MatMul") == 6
    assert in_8_bits(made, "Add") == in_8_bits(made, "LayerNormalization") == 0
    assert np.corrcoef(answers(made).ravel(), answers(attention()).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", BOTH)
def test_convolutions_and_the_sums_between_them_run_in_8_bits(name: str) -> None:
    made = quantised(name, normalised())
    assert in_8_bits(made, "Conv") == in_8_bits(made, "Add") == 1
    assert np.corrcoef(answers(made).ravel(), answers(normalised()).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", BOTH)
def test_batch_normalisation_goes_into_the_convolution(name: str) -> None:
    assert kinds(normalised())["BatchNormalization"] == 1
    assert kinds(quantised(name, normalised()))["BatchNormalization"] == 0


def test_a_cpu_gets_unsigned_activations_and_weights_of_7_bits_per_channel() -> None:
    made = quantised("int8", normalised())
    weights = {item.name: item for item in made.graph.initializer}
    [weight] = [item for item in weights.values() if len(item.dims) == 4]
    values = numpy_helper.to_array(weight)
    assert (values.dtype, int(values.min()) >= -64, int(values.max()) <= 64) == (np.int8, True, True)
    [scale] = [item for name, item in weights.items() if name.endswith("_scale") and list(item.dims) == [3]][:1]
    assert len(set(numpy_helper.to_array(scale).tolist())) == 3
    points = {item.data_type for name, item in weights.items() if name.endswith("_zero_point") and not item.dims}
    assert points == {TensorProto.UINT8}


def test_tensorrt_gets_symmetric_signed_types_and_no_quantised_bias() -> None:
    made = quantised("int8-tensorrt", normalised())
    points = [numpy_helper.to_array(item) for item in made.graph.initializer if item.name.endswith("_zero_point")]
    assert points
    assert all(point.dtype == np.int8 and not point.any() for point in points)
    assert TensorProto.INT32 not in {item.data_type for item in made.graph.initializer}
    pairs = kinds(made)
    assert pairs["QuantizeLinear"] == pairs["DequantizeLinear"]


@pytest.mark.parametrize("name", BOTH)
def test_an_opset_without_channels_is_left_as_it_is(name: str) -> None:
    with pytest.raises(Untouched, match="scales per channel need opset 13, it has 11"):
        quantised(name, normalised(opset=11))


@pytest.mark.parametrize("name", BOTH)
def test_what_the_quantiser_refuses_is_left_as_it_is_and_said_in_one_line(name: str) -> None:
    model = normalised()
    with pytest.raises(Untouched, match=r"^onnxruntime does not quantise it: ") as caught:
        PRECISIONS.load(name)().convert(model, [{"other": np.zeros((1, 3, 8, 8), np.float32)}])
    assert "\n" not in str(caught.value)
