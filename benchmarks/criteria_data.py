"""The demo network's logits on Fashion-MNIST, and what every exit of it computes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto

from partitioner.sources import read_network
from split_core.criteria.build import make_criterion
from split_core.criteria.exit_share import shares, thresholds_for
from split_core.readings import ExitCalibration, Reader, softmax
from split_core.resources import config_path
from split_core.traces import Traces

MEAN, STD = 0.2860, 0.3530  # as configs/demo/network.yaml has them


def logits_and_labels(samples: int) -> Traces:
    """Every exit's logits for the first `samples` test images; not read by any criterion yet."""
    with np.load(config_path("demo/fashion-mnist-test.npz")) as file:
        images, labels = file["images"][:samples], file["labels"][:samples].astype(np.int64)
    session = onnxruntime.InferenceSession(str(config_path("demo/network.onnx")))
    exits = [output.name for output in session.get_outputs() if output.name.startswith("exit")]
    tensors = ((images.reshape(-1, 1, 28, 28) / 255.0 - MEAN) / STD).astype(np.float32)
    name = session.get_inputs()[0].name
    batches = [
        np.stack(session.run(exits, {name: tensors[at : at + 100]}), axis=1) for at in range(0, len(tensors), 100)
    ]
    logits = np.concatenate(batches)
    unread = np.zeros(logits.shape[:2])
    return Traces(unread, unread.astype(np.int64), labels, logits)


def compute_shares() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K,) multiply-accumulates up to each exit over those of the network with its last exit only.

    Returns:
        With all heads on the way, as early exit pays; and with this exit's alone.
    """
    network = read_network(str(config_path("demo/network.onnx")))
    made_by = {name: index for index, node in enumerate(network.flow.nodes) for name in node.output}
    needed = [behind(name, made_by, network.flow.nodes) for name in network.exits]
    alone = np.array([sum(network.macs[index] for index in one) for one in needed], np.float64)
    upto = [set().union(*needed[: k + 1]) for k in range(len(needed))]
    together = np.array([sum(network.macs[index] for index in one) for one in upto], np.float64)
    return together / alone[-1], alone / alone[-1]


def behind(name: str, made_by: dict[str, int], nodes: Sequence[NodeProto]) -> set[int]:
    """Indices of the nodes that a tensor depends on."""
    found: set[int] = set()
    waiting = [name]
    while waiting:
        index = made_by.get(waiting.pop())
        if index is not None and index not in found:
            found.add(index)
            waiting += list(nodes[index].input)
    return found


Point = dict[str, Any]


def curve(read: Traces, costs: NDArray[np.float64], thresholds: Iterable[float], params: dict[str, Any]) -> list[Point]:
    """Accuracy and mean compute at every threshold: the first exit that reaches it answers, else the last."""
    points = []
    for threshold in thresholds:
        passes = read.confidence >= threshold
        passes[:, -1] = True
        taken = passes.argmax(axis=1)
        right = read.correct[np.arange(read.samples), taken]
        accuracy, compute = float(right.mean()), float(costs[taken].mean())
        points.append({"threshold": float(threshold), "accuracy": accuracy, "compute": compute, "params": params})
    return points


def variants(name: str, fitted: Traces) -> list[dict[str, Any]]:
    """The parameters that a criterion is tried with; most have their threshold only.

    A count over five, asked for in part, is every patience from 1 to 5.
    """
    if name == "exit_share":
        surest = softmax(fitted.logits).max(axis=-1)
        ratios = [j / 20 for j in range(1, 40, 2)]
        return [{"thresholds": thresholds_for(surest, shares(ratio, fitted.exits))} for ratio in ratios]
    if name == "patience_entropy":
        return [{"patience": 2, "entropy": entropy} for entropy in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)]
    return [{"patience": {"patience": 5}, "vote": {"votes": 6}, "vote_or_unknown": {"votes": 6}}.get(name, {})]


def points_of(name: str, fitted: Traces, tested: Traces, compute: NDArray[np.float64]) -> list[tuple[Point, Point]]:
    """Every setting on both halves: it is chosen on the first and told on the second."""
    pairs: list[tuple[Point, Point]] = []
    for params in variants(name, fitted):
        reader = Reader([ExitCalibration()] * fitted.exits, make_criterion(name, exits=fitted.exits, params=params))
        here, there = fitted.read_with(reader), tested.read_with(reader)
        found = np.unique(np.quantile(here.confidence[:, :-1], np.linspace(0.0, 1.0, 101)))
        thresholds = [0.5] if name == "exit_share" else [1.0] if name == "patience_entropy" else found.tolist()
        pairs += zip(curve(here, compute, thresholds, params), curve(there, compute, thresholds, params), strict=True)
    return pairs


def cheapest(pairs: list[tuple[Point, Point]], accuracy: float) -> Point:
    """On the second half, what needs the least compute of all that reach this accuracy on the first."""
    good = [pair for pair in pairs if pair[0]["accuracy"] >= accuracy] or [max(pairs, key=lambda p: p[0]["accuracy"])]
    return min(good, key=lambda pair: pair[0]["compute"])[1]


def surest(pairs: list[tuple[Point, Point]], compute: float) -> Point:
    """On the second half, what is most accurate of all that need at most this compute on the first."""
    good = [pair for pair in pairs if pair[0]["compute"] <= compute] or [min(pairs, key=lambda p: p[0]["compute"])]
    return max(good, key=lambda pair: pair[0]["accuracy"])[1]
