"""What exit criteria are compared on: traces with logits and hidden states, and what every exit computes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto

from partitioner.build import Wish, planned
from partitioner.network import Network
from partitioner.sources import read_network
from split_core.criteria import CRITERIA
from split_core.criteria.base import TOKENS, WEIGHTS
from split_core.criteria.build import make_criterion
from split_core.criteria.exit_share import shares, thresholds_for
from split_core.readings import ExitCalibration, Reader, softmax
from split_core.resources import config_path
from split_core.tensors import Array
from split_core.traces import Traces

MEAN, STD = 0.2860, 0.3530  # as configs/demo/network.yaml has them
SIMILARITIES = (0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
Arrays = Mapping[str, Array]
Point = dict[str, Any]
Pair = tuple[Point, Point]


@dataclass(frozen=True)
class Setting:
    """One network's answers.

    Attributes:
        fitted, tested: settings are chosen on the first and told on the second.
        together: (K,) multiply-accumulates up to each exit, all heads on the way counted, over those of the whole
            network with its last exit only.
        alone: the same with this exit's head only.
        arrays: trained ones, by criterion; several where training has a knob instead of a threshold.
    """

    fitted: Traces
    tested: Traces
    together: NDArray[np.float64]
    alone: NDArray[np.float64]
    arrays: Mapping[str, Sequence[Arrays]] = field(default_factory=dict)

    def criteria(self) -> list[str]:
        """Names of those that can be asked: not of texts, and with the arrays that they need."""
        needs = {name: CRITERIA.load(name).needs for name in CRITERIA}
        usable = [name for name in needs if TOKENS not in needs[name]]
        return [name for name in usable if WEIGHTS not in needs[name] or name in self.arrays]


def demo(samples: int) -> Setting:
    """The demo's network on the first test images of Fashion-MNIST, in two halves."""
    network = config_path("demo/network.onnx")
    with np.load(config_path("demo/fashion-mnist-test.npz")) as file:
        images, labels = file["images"][:samples], file["labels"][:samples].astype(np.int64)
    tensors = ((images.reshape(-1, 1, 28, 28) / 255.0 - MEAN) / STD).astype(np.float32)
    traces, half = traces_of(network, tensors, labels), samples // 2
    return Setting(traces.rows(slice(0, half)), traces.rows(slice(half, None)), *compute_shares(network))


def traces_of(network: Path, tensors: NDArray[np.float32], labels: NDArray[np.int64]) -> Traces:
    """What an uncut network with outputs hidden_k and exit_k says; not read by any criterion yet."""
    session = onnxruntime.InferenceSession(str(network))
    names = [output.name for output in session.get_outputs()]
    states, exits = ([name for name in names if name.startswith(kind)] for kind in ("hidden", "exit"))
    taken, batches = session.get_inputs()[0].name, []
    for at in range(0, len(tensors), 100):
        made = session.run([*states, *exits], {taken: tensors[at : at + 100]})
        pooled = [state.mean(axis=(2, 3)) for state in made[: len(states)]]
        batches.append((np.stack(made[len(states) :], axis=1), *pooled))
    logits, *hidden = (np.concatenate(column) for column in zip(*batches, strict=True))
    unread = np.zeros(logits.shape[:2])
    return Traces(unread, unread.astype(np.int64), labels, logits, hidden=tuple(hidden))


def compute_shares(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K,) see `Setting.together` and `Setting.alone`."""
    network = planned(read_network(str(path)), Wish()).network  # its own exits, where they hang
    needed = nodes_of_exits(network)
    upto = [set().union(*needed[: k + 1]) for k in range(len(needed))]
    together, alone = (np.array([macs_of(network, one) for one in nodes], np.float64) for nodes in (upto, needed))
    return together / alone[-1], alone / alone[-1]


def nodes_of_exits(network: Network) -> list[set[int]]:
    """Indices of the nodes that each exit depends on."""
    made_by = {name: index for index, node in enumerate(network.flow.nodes) for name in node.output}
    return [behind(name, made_by, network.flow.nodes) for name in network.exits]


def macs_of(network: Network, nodes: Iterable[int]) -> int:
    return sum(network.macs[index] for index in nodes)


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


def variants(name: str, fitted: Traces) -> Iterator[dict[str, Any]]:
    """The parameters that a criterion is tried with; most have their threshold only.

    A count over all exits, asked for in part, is every patience there is.
    """
    if name == "exit_share":
        surest = softmax(fitted.logits).max(axis=-1)
        for j in range(1, 40, 2):
            yield {"thresholds": thresholds_for(surest, shares(j / 20, fitted.exits))}
    elif name == "patience_entropy":
        for patience, entropy in product((1, 2, 3), (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)):
            yield {"patience": patience, "entropy": entropy}
    elif name == "similarity_patience":
        for patience, similarity in product((1, 2, 3), SIMILARITIES):
            yield {"patience": patience, "similarity": similarity}
    elif name in ("vote", "vote_or_unknown"):
        yield {"votes": fitted.exits}
    else:
        yield {"patience": fitted.exits - 1} if name == "patience" else {}


# Where the parameters say it all, the published threshold.
FIXED = {"exit_share": 0.5, "patience_entropy": 1.0, "similarity_patience": 1.0}


def points_of(name: str, setting: Setting) -> list[Pair]:
    """Every setting of one criterion on both halves."""
    fitted, tested, pairs = setting.fitted, setting.tested, []
    for arrays, params in product(setting.arrays.get(name, [None]), variants(name, fitted)):
        criterion = make_criterion(name, exits=fitted.exits, params=params, arrays=arrays)
        reader = Reader([ExitCalibration()] * fitted.exits, criterion)
        here, there = fitted.read_with(reader), tested.read_with(reader)
        found = np.unique(np.quantile(here.confidence[:, :-1], np.linspace(0.0, 1.0, 101)))
        thresholds = [FIXED[name]] if name in FIXED else found.tolist()
        told = (curve(read, setting.together, thresholds, params) for read in (here, there))
        pairs += zip(*told, strict=True)
    return pairs


def cheapest(pairs: Sequence[Pair], accuracy: float) -> Point:
    """On the second half, what needs the least compute of all that reach this accuracy on the first."""
    good = [pair for pair in pairs if pair[0]["accuracy"] >= accuracy] or [max(pairs, key=lambda p: p[0]["accuracy"])]
    return min(good, key=lambda pair: pair[0]["compute"])[1]


def surest(pairs: Sequence[Pair], compute: float) -> Point:
    """On the second half, what is most accurate of all that need at most this compute on the first."""
    good = [pair for pair in pairs if pair[0]["compute"] <= compute] or [min(pairs, key=lambda p: p[0]["compute"])]
    return max(good, key=lambda pair: pair[0]["accuracy"])[1]


def front(pairs: Sequence[Pair]) -> list[Point]:
    """On the second half, what is most accurate on the first for every compute from the least to the most."""
    least, most = (bound(pair[0]["compute"] for pair in pairs) for bound in (min, max))
    found = [surest(pairs, compute) for compute in np.linspace(least, most, 60)]
    return list({(point["compute"], point["accuracy"]): point for point in found}.values())
