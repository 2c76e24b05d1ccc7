"""Do the samples of a batch mind one another?  A worker puts frames of strangers into one batch."""

from __future__ import annotations

import numpy as np

from partitioner.cut import whole_with
from partitioner.network import Network
from partitioner.noise import noise
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.tensors import Array

ROWS = 4
SAME = 1e-3  # of the greatest value: kernels add in another order in a batch, which moves float32 by some 1e-6


def independent(network: Network) -> bool:
    """Does every sample of a batch get the answer that it gets alone, up to rounding?

    A mean over the batch axis, or numbers rounded by a scale of the whole batch (`DynamicQuantizeLinear`), make it so
    that they do not.

    Args:
        network: with a dynamic batch.

    Raises:
        BackendError: onnxruntime cannot run it.
    """
    if any(node.op_type == "DynamicQuantizeLinear" for node in network.flow.nodes):
        return False
    rng = np.random.default_rng(0)
    sizes = {name: first for name, (first, _) in network.axes.items()}
    together = [noise(network.spec(name), {**sizes, "batch": ROWS}, rng) for name in network.flow.inputs]
    model = whole_with(network, network.finals)
    session = OnnxRuntimeBackend("off").load(model, threads=1, folder=network.folder)
    outputs = session.run(together)
    alone = [session.run([array[row : row + 1] for array in together]) for row in range(ROWS)]
    same = max(SAME, network.coarseness)
    return all(_same(made, np.concatenate([rows[place] for rows in alone]), same) for place, made in enumerate(outputs))


def _same(together: Array, alone: Array, tolerance: float) -> bool:
    if together.shape != alone.shape:
        return False
    if together.dtype.kind not in "fc":
        return bool((together == alone).mean() >= 1.0 - tolerance)
    scale = max(1e-30, float(np.abs(np.nan_to_num(alone.astype(np.float64))).max(initial=0.0)))
    return bool(np.allclose(together, alone, rtol=0.0, atol=tolerance * scale, equal_nan=True))
