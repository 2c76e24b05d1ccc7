"""Trains what `benchmarks.criteria --data` compares: python -m benchmarks.cifar_train --data DIR [NAME ...]

All by the same recipe: SGD, one cycle, pictures moved and mirrored; early exits learn from the last one, too.  What is
trained lies in --work, and is not trained again.  Needs the extra `torch`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import resnet
from benchmarks.cifar_data import PREPROCESS, class_names, parts_of
from partitioner.examples import Examples
from partitioner.manifest import Identity
from partitioner.train.joint.bundle import write_bundle
from partitioner.train.joint.plan import Augmentation, JointPlan
from partitioner.train.joint.rows import Epoch
from partitioner.train.joint.training import train

NETWORKS = {
    "early": (resnet.LARGE, True),
    "small": (resnet.SMALL, False),
    "middle": (resnet.MIDDLE, False),
    "large": (resnet.LARGE, False),
}
ROWS = 128


class Halved(nn.Module):
    """A network that computes in bfloat16 while it learns: twice as fast where the processor can."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if not self.training:
            return self.network(image)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(image)
        return tuple(one.float() for one in logits)


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, and where it is kept.

    Attributes:
        data: `train` and `test`, a folder per class in each.
        work: keeps images and networks.
        epochs: of each network.
        seed: of weights and order.
    """

    data: Path
    work: Path
    epochs: int
    seed: int = 0

    def plan(self) -> JointPlan:
        return JointPlan(
            weighting="uniform",
            target="distilled",
            optimiser="sgd",
            rate="onecycle",
            epochs=self.epochs,
            batch=ROWS,
            validation=0.04,
            augmentation=Augmentation(padding=4, flip=True),
            channels_last=True,
            seed=self.seed,
        )

    def file(self, name: str) -> Path:
        """The uncut network, as ONNX."""
        return self.work / f"{name}-{self.epochs}.onnx"

    def bundle(self, name: str) -> Path:
        return self.work / name / str(self.epochs)


def trained(name: str, recipe: Recipe) -> Path:
    """Train one network unless it is there; returns its ONNX file."""
    file = recipe.file(name)
    if file.exists():
        return file
    part, (blocks, exits) = parts_of(recipe.data, recipe.work)[0], NETWORKS[name]
    torch.manual_seed(recipe.seed)
    module = Halved(resnet.EarlyResNet(blocks, exits=exits))
    learned = train(
        module,
        Examples((part.images,), part.labels, PREPROCESS, ROWS),
        recipe.plan(),
        checkpoint=recipe.work / f"{name}-{recipe.epochs}.npz",
        tell=lambda number, epoch: say(name, number, epoch),
    )
    identity = Identity(name=name, version=str(recipe.epochs), labels=class_names(recipe.data), preprocess=PREPROCESS)
    write_bundle(learned, recipe.work, identity, network_file=file)
    return file


def say(name: str, number: int, epoch: Epoch) -> None:
    right = " ".join(f"{100 * share:.1f}" for share in epoch.right)
    print(f"{name}, epoch {number}: {right} %", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NETWORKS)}; else all")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="CIFAR-10: train and test")
    parser.add_argument("--work", type=Path, default=Path("build/cifar"), metavar="DIR")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves it to torch")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for name in options.names or NETWORKS:
        print(trained(name, Recipe(options.data, options.work, options.epochs)))


if __name__ == "__main__":
    main()
