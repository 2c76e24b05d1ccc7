"""Whatever `TRAINABLE` holds must do this."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from onnx import TensorProto

from partitioner.heads import TRAINABLE
from partitioner.train.fit import tensors_of, torch_logits
from partitioner.train.pieces import Place, head_model, pooling_model
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.tensors import TensorSpec

MAPS = (TensorSpec("maps", "float32", (None, 5, 8, 6)),)
CHANNELS_LAST = (TensorSpec("maps", "float32", (None, 6, 6, 5)),)
HALVES = (TensorSpec("maps", "float16", (None, 5, 8, 8)),)
TOKENS = (TensorSpec("states", "float32", (None, "sequence", 5)),)
MASKED = (*TOKENS, TensorSpec("mask", "int64", (None, "sequence")))
VECTORS = (TensorSpec("vector", "float32", (None, 5)),)
ALONE = (TensorSpec("maps", "float32", (1, 5, 4, 4)),)
CLASSES = 3


def place(name: str, specs: tuple[TensorSpec, ...], opset: int) -> Place | None:
    head = TRAINABLE.load(name)()
    features = head.features(specs)
    if features is None:
        return None
    code = TensorProto.FLOAT16 if specs is HALVES else TensorProto.FLOAT
    return Place(1, "exit_1", specs, CLASSES, opset, 8, code, head, features)


def values_of(specs: tuple[TensorSpec, ...], rng: np.random.Generator) -> dict[str, np.ndarray]:
    rows = 1 if specs[0].shape[0] == 1 else 6
    made = {}
    for spec in specs:
        shape = spec.sized({"sequence": 7}, rows)
        made[spec.name] = rng.integers(0, 2, shape) if spec.dtype == "int64" else rng.normal(2.0, 3.0, shape)
    return {spec.name: made[spec.name].astype(spec.dtype) for spec in specs}


def random_parameters(at: Place, rng: np.random.Generator) -> dict[str, np.ndarray]:
    start = at.head.start(at.features, at.classes, rng)
    return {
        name: value if name in at.head.fixed else rng.normal(0.0, 0.5, value.shape).astype(np.float32)
        for name, value in start.items()
    }


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("specs", [MAPS, CHANNELS_LAST, HALVES, TOKENS, MASKED, VECTORS, ALONE])
@pytest.mark.parametrize("name", TRAINABLE)
def test_torch_and_onnx_make_the_same_logits(name: str, specs: tuple[TensorSpec, ...], opset: int) -> None:
    at, rng = place(name, specs, opset), np.random.default_rng(3)
    if at is None:
        pytest.skip("does not suit")
    parameters, values = random_parameters(at, rng), values_of(specs, rng)
    backend = OnnxRuntimeBackend("off")
    pooling, head = (backend.load(model, threads=1) for model in (pooling_model(at), head_model(at, parameters)))
    assert head.inputs == at.taken
    features = pooling.run([values[name] for name in pooling.inputs])[0]
    assert features.shape == (len(next(iter(values.values()))), at.features)
    made = head.run([values[name] for name in head.inputs])[0]
    expected = torch_logits(at.head, parameters, features)
    assert made.dtype == ("float16" if specs is HALVES else "float32")
    scale = max(1.0, float(np.abs(expected).max()))
    assert np.abs(made - expected).max() <= (1e-3 if specs is HALVES else 1e-5) * scale


@pytest.mark.parametrize("specs", [MAPS, CHANNELS_LAST, TOKENS, VECTORS])
@pytest.mark.parametrize("name", TRAINABLE)
def test_a_state_is_gathered_in_torch_as_it_is_pooled_in_onnx(name: str, specs: tuple[TensorSpec, ...]) -> None:
    at = place(name, specs, 18)
    if at is None:
        pytest.skip("does not suit")
    values = values_of(specs, np.random.default_rng(3))
    pooled = OnnxRuntimeBackend("off").load(pooling_model(at), threads=1).run(list(values.values()))[0]
    gathered = at.head.gather(torch.from_numpy(values[specs[0].name])).numpy()
    np.testing.assert_allclose(gathered, pooled, atol=1e-5)


@pytest.mark.parametrize("name", TRAINABLE)
def test_folding_the_standardisation_changes_no_logits(name: str) -> None:
    specs = MAPS if place(name, MAPS, 18) else TOKENS
    at, rng = place(name, specs, 18), np.random.default_rng(5)
    assert at is not None
    features = rng.normal(3.0, 2.0, (50, at.features)).astype(np.float32)
    mean, scale = at.head.tied(features.mean(0), features.std(0))
    parameters = random_parameters(at, rng)
    apart = torch_logits(at.head, parameters, (features - mean) / scale)
    inside = torch_logits(at.head, at.head.folded(parameters, mean, scale), features)
    np.testing.assert_allclose(inside, apart, atol=1e-4 * max(1.0, np.abs(apart).max()))


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_parameter_that_is_not_fixed_can_learn(name: str) -> None:
    at = place(name, MAPS, 18) or place(name, TOKENS, 18)
    assert at is not None
    rng = np.random.default_rng(1)
    tensors = tensors_of(random_parameters(at, rng))
    assert at.head.fixed < set(tensors)
    for tensor in tensors.values():
        tensor.requires_grad_(True)
    at.head.forward(
        tensors, torch.from_numpy(rng.normal(size=(9, at.features)).astype(np.float32))
    ).square().sum().backward()
    moved = {name for name, tensor in tensors.items() if tensor.grad is not None and tensor.grad.abs().max() > 0}
    assert moved >= set(tensors) - at.head.fixed


def test_the_tight_frame_has_unit_columns_as_far_apart_as_can_be() -> None:
    from partitioner.heads.etf import tight_frame

    frame = tight_frame(8, 4, np.random.default_rng(0)).astype(np.float64)
    expected = np.full((4, 4), -1 / 3)
    np.fill_diagonal(expected, 1.0)
    np.testing.assert_allclose(frame.T @ frame, expected, atol=1e-6)


def test_the_mix_is_of_the_maximum_and_the_average_of_a_cell() -> None:
    # One 4x4 map in cells of 1; mix 1/4: 0.25 max + 0.75 average is the pixel itself.  An 8x8 map has cells of 2x2.
    from partitioner.heads.max_average import MaxAverageHead

    head = MaxAverageHead()
    specs = (TensorSpec("maps", "float32", (None, 1, 8, 8)),)
    assert head.features(specs) == 32
    at = SimpleNamespace(head=head)
    features = np.zeros((1, 32), np.float32)
    features[0, 0], features[0, 16] = 2.0, 6.0  # average and maximum of the first cell
    parameters = {
        "mix": np.full(1, 0.25, np.float32),
        "weight": np.eye(16, 2, dtype=np.float32),
        "bias": np.ones(2, np.float32),
    }
    np.testing.assert_allclose(torch_logits(at.head, parameters, features), [[0.25 * 6 + 0.75 * 2 + 1, 1.0]])


@pytest.mark.parametrize("side", [1, 4, 7, 8, 11, 32])
def test_cells_of_a_conv_head_are_those_of_torch(side: int) -> None:
    from partitioner.heads.conv import GRID, ConvHead, cell_means

    maps = torch.randn(2, 3, side, side + 1, generator=torch.Generator().manual_seed(1))
    cells = ConvHead().gather(maps).unflatten(1, (3, GRID, GRID))
    torch.testing.assert_close(cells, torch.nn.functional.adaptive_avg_pool2d(maps, GRID))
    assert cell_means(7)[1].tolist() == [0.5, 0.5, 0, 0, 0, 0, 0]  # 7/8 to 14/8 touches pixels 0 and 1


def test_a_conv_head_sees_where_things_are() -> None:
    # One channel; the kernel looks one cell to the left, and class 1 at the upper right quarter of the cells.
    from partitioner.heads.conv import ConvHead

    features = np.zeros((1, 64), np.float32)
    features[0, 5] = 3.0  # row 0, column 5; seen at column 6, so in the 2x2 block (0, 3)
    parameters = ConvHead().start(64, 2, np.random.default_rng(0))
    parameters["conv.weight"][:] = 0.0
    parameters["conv.weight"][0, 0, 1, 0] = 2.0
    parameters["weight"][3, 1] = 1.0
    parameters["bias"][:] = 0.5
    np.testing.assert_allclose(torch_logits(ConvHead(), parameters, features), [[0.5, 0.5 + 6.0]])
