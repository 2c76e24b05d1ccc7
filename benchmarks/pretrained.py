"""Exits for a network trained elsewhere, from its ONNX alone: python -m benchmarks.pretrained --data DIR --weights FILE

A ResNet-20 for CIFAR-10 with published weights is exported, cut, and gets exits by separate training: with labels, and
by SelfXit, which sees the training pictures without their labels.  Told: accuracy per exit on test images
that nothing has seen, and seconds.  DIR holds `train` and `test`, a folder per class in each.  Without --data,
and with --quick, the network of the demo on its embedded images stands in.  Needs the extra `torch`, and no network.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.cifar_data import PREPROCESS, class_names, pictures
from benchmarks.harness import Goal, at_most, parser_of, report
from partitioner.build import Wish, partition
from partitioner.chain import Chain
from partitioner.examples import Examples
from partitioner.importers.request import Request as ImportRequest
from partitioner.manifest import Identity, NetworkFile
from partitioner.sources import read_network
from partitioner.train.schedule import Schedule
from partitioner.train.training import Plan, Request, train
from partitioner.verify import Trial
from split_core import bundle as bundles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.config import load
from split_core.resources import config_path

ROWS = 32
HEAD = "max_average"
MINUTES = 5.0  # that one training may take
BLOCKS = "layer1.0,layer1.1,layer1.2,layer2.0,layer2.1,layer2.2,layer3.0,layer3.1"
DEMO_CUTS = "add_76,add_133,add_190,add_237"  # where the demo's residual blocks end


@dataclass(frozen=True)
class Job:
    """What gets exits.

    Attributes:
        model: as `offramp partition` takes it.
        request: for it.
        identity: of the bundle.
        cuts: as `offramp partition --cuts`.
        learn, test: samples; the test samples are seen by nothing but the last table.
        samples: where `learn` was read from.
    """

    model: str
    request: ImportRequest
    identity: Identity
    cuts: str
    learn: Examples
    test: Examples
    samples: Path


def cifar(data: Path, weights: Path, work: Path, count: int) -> Job:
    """The pretrained ResNet-20 and `count` training pictures."""
    learn, test = pictures(data, "train", work), pictures(data, "test", work)
    examples = [Examples((one.images,), one.labels, PREPROCESS, ROWS) for one in (learn.part(slice(count)), test)]
    identity = Identity(name="resnet20", labels=class_names(data), preprocess=PREPROCESS)
    request = ImportRequest(args={"weights": str(weights)})
    return Job("benchmarks.resnet:pretrained", request, identity, BLOCKS, *examples, work / "train.npz")


def demo(count: int, tested: int) -> Job:
    """The demo's network without the exits that it has, and its test images in two parts."""
    path = config_path("demo/fashion-mnist-test.npz")
    said = load(config_path("demo/network.yaml"), NetworkFile)
    with np.load(path) as file:
        images, labels = file["images"][..., None], file["labels"].astype(np.int64)
    identity = Identity(
        name="demo", labels=said.labels, preprocess=said.settled(config_path("demo/network.yaml").parent)
    )
    parts = [
        Examples((images[rows],), labels[rows], identity.preprocess, ROWS)
        for rows in (slice(count), slice(count, count + tested))
    ]
    return Job(str(config_path("demo/network.onnx")), ImportRequest(), identity, DEMO_CUTS, *parts, path)


@contextmanager
def step(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Says on standard error what is being done, and how long it took."""
    began = time.perf_counter()
    yield lambda count: None
    print(f"{title}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)


def accuracy(root: Path, test: Examples) -> dict[str, list[float]]:
    """Of every exit of a bundle: the share that is right, and that says what the last exit says."""
    chain = Chain(bundles.load(root), OnnxRuntimeBackend(), threads=1)
    said = np.concatenate(
        [np.stack([one.argmax(1) for one in chain.run(batch).logits], axis=1) for batch in test.batches()]
    )
    truth: NDArray[np.int64] = test.labels if test.labels is not None else said[:, -1]
    return {
        "accuracy": (said == truth[:, None]).mean(axis=0).tolist(),
        "agreement": (said == said[:, -1:]).mean(axis=0).tolist(),
    }


def exits_of(job: Job, room: Path, epochs: int) -> dict[str, Any]:
    """Partition, train twice, measure."""
    times: dict[str, float] = {}
    with timed(times, "import and partition"):
        network = read_network(job.model, job.request)
        root = partition(network, room, identity=job.identity, wish=Wish(cuts=job.cuts), trial=Trial(), clock=time.time)
    old = bundles.load(root)
    schedule, found = Schedule(epochs=epochs), {"untrained": accuracy(root, job.test)}
    unlabelled = Examples(job.learn.items, None, job.learn.preprocess, job.learn.rows)
    for target, examples in (("labels", job.learn), ("selfxit", unlabelled)):
        with timed(times, target):
            request = Request(room, target, job.samples, network)
            trained = train(old, examples, Plan(HEAD, target, schedule=schedule), request, step)
        found[target] = accuracy(trained.root, job.test)
    cuts = [cut.block or cut.tensors[0].name for cut in old.manifest.cuts[1:]]
    return {"exits after": [*cuts, "final"], "seconds": times, "exits": found, **sizes(job)}


def sizes(job: Job) -> dict[str, Any]:
    return {"network": job.identity.name, "head": HEAD, "learned from": len(job.learn), "told on": len(job.test)}


@contextmanager
def timed(times: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    times[name] = time.perf_counter() - began


def table(figures: dict[str, Any]) -> Table:
    """A row per exit."""
    made = Table(title=f"{figures['network']}: accuracy per exit on {figures['told on']} new images, %")
    for column in ("exit after", "labels", "selfxit, no labels", "selfxit agrees with the last"):
        made.add_column(column, justify="left" if column == "exit after" else "right")
    exits = figures["exits"]
    columns = (exits["labels"]["accuracy"], exits["selfxit"]["accuracy"], exits["selfxit"]["agreement"])
    for place, *values in zip(figures["exits after"], *columns, strict=True):
        made.add_row(place, *(f"{100 * value:.1f}" for value in values))
    return made


def goals_of(figures: dict[str, Any]) -> list[Goal]:
    """Minutes each; without labels the last early exit is a point worse at most."""
    exits, times = figures["exits"], figures["seconds"]
    lost = 100 * (exits["labels"]["accuracy"][-2] - exits["selfxit"]["accuracy"][-2])
    return [
        *(
            at_most(f"exits by {name}", times[name] / 60, "min", MINUTES, "all samples")
            for name in ("labels", "selfxit")
        ),
        at_most("last early exit, lost without labels", lost, "points", 1.0, "the same exit with labels"),
    ]


def options_of() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="CIFAR-10: train and test, a folder per class")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="of ResNet-20, as torch.save wrote them")
    parser.add_argument("--samples", type=int, default=10_000, help="training images to learn from")
    parser.add_argument("--work", type=Path, default=Path("build/cifar"), metavar="DIR", help="keeps the images read")
    options = parser.parse_args()
    if options.data and not options.weights:
        parser.error("--data needs --weights")
    return options


def main() -> None:
    options = options_of()
    if options.data:
        job, epochs = cifar(options.data, options.weights, options.work, options.samples), 40
    else:
        job, epochs = demo(*((1000, 1000) if options.quick else (5000, 5000))), 10 if options.quick else 40
    with TemporaryDirectory() as room:
        figures = exits_of(job, Path(room), epochs)
    Console(stderr=True).print(table(figures))
    report("pretrained", figures, goals_of(figures), options)


if __name__ == "__main__":
    main()
