"""A torch module and all its exits, trained at once.

trained = train(module, examples, JointPlan(weighting="sdn", epochs=20))
root = write_bundle(trained, Path("bundles"), Identity(name="door"))        # see `joint.bundle`
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from partitioner.examples import Examples
from partitioner.importers.foreign import ForeignError, foreign
from partitioner.importers.torch_outputs import Named, outputs_of
from partitioner.train.joint.checkpoint import Arrays, Checkpoint
from partitioner.train.joint.exits import logits_of
from partitioner.train.joint.feed import Feed
from partitioner.train.joint.fitting import Fitting, Lesson, load, state_of
from partitioner.train.joint.plan import JointPlan
from partitioner.train.joint.rows import Epoch, JointRow
from partitioner.train.schedule import Schedule
from partitioner.train.training import Steps, hash_of
from split_core.errors import DataError, ModelError
from split_core.files import canonical_json, sha256_of

PROVED_ON = 16  # samples kept apart, beside noise


@contextmanager
def quiet(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """`Steps` that nobody sees."""
    yield lambda count: None


@dataclass(frozen=True)
class JointlyTrained:
    """What came of it.

    Attributes:
        module: the one that was given, with the weights of the best epoch, in evaluation mode.
        keywords: names of its inputs; None where they go in order.
        rows: an exit each, the final one last.
        history: all exits after every epoch.
        best_epoch: the one whose weights were kept, from 1.
        samples: learned from, and measured on.
        seconds: since this process began with it.
        facts: for a manifest's `source`.
        proving: a few samples kept apart, as the tensors that the module takes.
    """

    module: nn.Module
    keywords: tuple[str, ...] | None
    rows: list[JointRow]
    history: tuple[Epoch, ...]
    best_epoch: int
    samples: tuple[int, int]
    seconds: float
    facts: dict[str, str]
    proving: tuple[np.ndarray, ...]


def train(
    module: nn.Module,
    examples: Examples,
    plan: JointPlan,
    *,
    keywords: Sequence[str] | None = None,
    checkpoint: Path | None = None,
    steps: Steps = quiet,
    tell: Callable[[int, Epoch], None] = lambda number, epoch: None,
) -> JointlyTrained:
    """Train all exits of a module, from the weights that it has; they change in place.

    Args:
        module: gives class logits (N, C), one tensor per exit, the final one last; see `with_exits` for others.
        examples: with labels; a share of them is kept apart, and only measured.
        plan: how.
        keywords: names to pass the inputs by; None passes them in order.
        checkpoint: an `.npz` to keep every epoch in, and to go on from; None keeps nothing.
        steps: sees every step.
        tell: is told every epoch.

    Raises:
        ConfigError: a name in the plan is unknown, its depths are not those of the module's exits, or the
            checkpoint is of another training.
        DataError: no labels, too few samples, or a loss that is no number.
        ModelError: the module does not run on the samples, or gives no class logits.
    """
    began = time.perf_counter()
    feed = Feed(examples, plan.augmentation, channels_last=plan.channels_last)
    learn, measure = Schedule(validation=plan.validation, seed=plan.seed).split(len(examples))
    names = _exit_names(Named(module, keywords), feed.plain(learn[: plan.batch]), int(feed.labels.max()) + 1)
    data_sha256 = hash_of(examples)
    kept = Checkpoint(checkpoint, _key(module, data_sha256, plan))
    layout = torch.channels_last if plan.channels_last else torch.contiguous_format
    fitting = Fitting(
        Named(module.to(memory_format=layout), keywords), len(names), Lesson(feed, learn, measure), plan, kept.read()
    )
    _fit(fitting, kept, plan.epochs, steps, tell)
    measured, said = fitting.measured()
    rows = _rows(names, measured, said)
    history, best = tuple(fitting.reached.history), fitting.reached.best_epoch
    return JointlyTrained(
        module=module.to(memory_format=torch.contiguous_format),
        keywords=tuple(keywords) if keywords is not None else None,
        rows=rows,
        history=history,
        best_epoch=best,
        samples=(len(learn), len(measure)),
        seconds=time.perf_counter() - began,
        facts=_facts(plan, data_sha256, rows, len(learn), best),
        proving=tuple(one.contiguous().numpy() for one in feed.plain(measure[:PROVED_ON])),
    )


def _fit(fitting: Fitting, kept: Checkpoint, epochs: int, steps: Steps, tell: Callable[[int, Epoch], None]) -> None:
    while not fitting.done:
        number = len(fitting.reached.history) + 1
        with steps(f"epoch {number} of {epochs}", fitting.steps) as done:
            epoch = fitting.epoch(done)
        kept.write(fitting.reached)
        tell(number, epoch)
    fitting.finish()


def _exit_names(network: Named, tensors: list[Tensor], classes: int) -> list[str]:
    """Names of the exits in the graph, from running the module once in either mode.

    Raises:
        ModelError: it does not run, gives no class logits, or fewer of them than there are classes.
    """
    before = state_of(network.network)
    _run(network.train(), tensors)
    load(network.network, before)  # running means have moved
    raw = _run(network.eval(), tensors)
    logits = logits_of(raw)
    if classes > logits[-1].shape[1]:
        raise DataError(f"the samples have a label {classes - 1}, the network {logits[-1].shape[1]} classes")
    return [name for name in outputs_of(raw) if not name.startswith("hidden_")]


def _run(network: Named, tensors: list[Tensor]) -> Any:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            return foreign(lambda: network.raw(*tensors))
        except ForeignError as error:
            mode = "training" if network.training else "evaluation"
            taken = ", ".join(f"{str(one.dtype)[6:]} {tuple(one.shape)}" for one in tensors)
            raise ModelError(f"forward fails in {mode} on {taken}: {error}") from error


def _rows(names: Sequence[str], measured: Epoch, said: np.ndarray) -> list[JointRow]:
    return [
        JointRow(k + 1, name, measured.right[k], float((said[k] == said[-1]).mean()), measured.losses[k])
        for k, name in enumerate(names)
    ]


def _key(module: nn.Module, data_sha256: str, plan: JointPlan) -> str:
    return sha256_of(canonical_json([_hash_of_state(state_of(module)), data_sha256, asdict(plan)]))


def _hash_of_state(state: Arrays) -> str:
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(f"{name} {value.dtype} {value.shape};".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def _facts(plan: JointPlan, data_sha256: str, rows: Sequence[JointRow], learned: int, best: int) -> dict[str, str]:
    """For the manifest's `source`; texts, as that has nothing else."""
    return {
        "training": plan.way,
        "training_weighting": plan.weighting,
        "training_target": plan.target,
        "training_optimiser": f"{plan.optimiser} {plan.rate} {plan.top_rate:g} {plan.decay:g}",
        "training_data_sha256": data_sha256,
        "training_samples": str(learned),
        "training_seed": str(plan.seed),
        "training_epochs": f"{best} of {plan.epochs}",
        "training_accuracy": ",".join(f"{row.name} {row.accuracy:.4f}" for row in rows),
    }
