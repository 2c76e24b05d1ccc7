"""The loop: steps, epochs, and a state that can be kept and gone on from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from partitioner.importers.torch_outputs import Named
from partitioner.train.joint.checkpoint import Arrays, Reached
from partitioner.train.joint.exits import logits_of
from partitioner.train.joint.feed import Feed
from partitioner.train.joint.loss import final_only, joint_loss
from partitioner.train.joint.plan import JointPlan
from partitioner.train.joint.rates import rate
from partitioner.train.joint.rows import Epoch
from partitioner.train.joint.weightings import WEIGHTINGS
from partitioner.train.joint.weightings.base import Tensor, Weighting
from partitioner.train.schedule import Rows
from partitioner.train.targets import TARGETS
from partitioner.train.targets.base import Target
from split_core.errors import DataError

LEARNED = "weighting/"  # what the weighting learned, beside the module's state


@dataclass(frozen=True)
class Lesson:
    """What is learned from.

    Attributes:
        feed: the samples.
        learn, measure: rows to learn from and to measure on.
    """

    feed: Feed
    learn: Rows
    measure: Rows


class Fitting:
    """A module while all its exits are fitted; its weights change.

    Args:
        network: what is fitted.
        exits: K.
        lesson: what it learns from.
        plan: how.
        reached: how far an interrupted training came; empty to begin.

    Raises:
        ConfigError: no such weighting or target, or depths that are not those of K exits.
        DataError: nothing in the network may change.
    """

    def __init__(self, network: Named, exits: int, lesson: Lesson, plan: JointPlan, reached: Reached) -> None:
        self._network, self._lesson, self._plan = network, lesson, plan
        self._weighting: Weighting = WEIGHTINGS.load(plan.weighting)(plan.shares(exits))
        self._target: Target = TARGETS.load(plan.target)(plan.softness)
        self._trained = [one for one in network.parameters() if one.requires_grad]
        if not self._trained:
            raise DataError("the module has no parameter that may change; leave requires_grad on where it should learn")
        self._optimiser = _optimiser(plan, self._trained, self._weighting.learned())
        self._per_epoch = max(1, len(lesson.learn) // plan.batch)
        self.reached = reached
        if reached.history:
            self._restore()

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return self._per_epoch

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        epochs, patience = len(self.reached.history), self._plan.patience
        waited = patience is not None and epochs - self.reached.best_epoch >= patience
        return epochs >= self._plan.epochs or (waited and epochs > 0)

    def epoch(self, done: Callable[[int], None] = lambda steps: None) -> Epoch:
        """One epoch more.

        Raises:
            DataError: the loss is no number any more.
        """
        number = len(self.reached.history)
        self._network.train()
        # Numbers of this epoch depend on the seed and its number alone, so a training can go on from here.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence([self._plan.seed, number]).generate_state(1)[0]))
            self._steps(number, np.random.default_rng([self._plan.seed, number]), done)
        measured = self.measured()[0]
        if not np.isfinite(measured.losses).all():
            raise DataError(f"epoch {number + 1}: the loss is not a number; give a smaller --learning-rate")
        self.reached.history.append(measured)
        self._keep()
        return measured

    def measured(self) -> tuple[Epoch, np.ndarray]:
        """All exits on the rows kept apart, and what they said there (K, N)."""
        self._network.eval()
        losses, said = [], []
        with torch.no_grad():
            for tensors, labels in self._lesson.feed.measured(self._lesson.measure):
                logits = logits_of(self._network.raw(*tensors))
                losses.append([float(functional.cross_entropy(one, labels, reduction="sum")) for one in logits])
                said.append(np.stack([one.argmax(1).numpy() for one in logits]))
        answers = np.concatenate(said, axis=1)
        right = (answers == self._lesson.feed.labels[self._lesson.measure]).mean(1)
        means = np.sum(losses, axis=0) / answers.shape[1]
        return Epoch(tuple(means.tolist()), tuple(right.tolist())), answers

    def finish(self) -> None:
        """Give the module the weights of the best epoch."""
        load(self._network.network, self.reached.best)
        self._network.eval()

    def _steps(self, epoch: int, rng: np.random.Generator, done: Callable[[int], None]) -> None:
        order = rng.permutation(self._lesson.learn)
        first, steps = epoch * self._per_epoch, self._plan.epochs * self._per_epoch
        for k in range(self._per_epoch):
            for group in self._optimiser.param_groups:
                group["lr"] = rate(self._plan.rate, self._plan.top_rate, first + k, steps)
            tensors, labels = self._lesson.feed.learned(order[k * self._plan.batch : (k + 1) * self._plan.batch], rng)
            self._optimiser.zero_grad()
            self._loss(tensors, labels, first + k + 1, epoch / self._plan.epochs).backward()
            self._optimiser.step()
            done(1)

    def _loss(self, tensors: Sequence[Tensor], labels: Tensor, step: int, elapsed: float) -> Tensor:
        logits = logits_of(self._network.raw(*tensors))
        if final_only(self._plan.way, step):
            return functional.cross_entropy(logits[-1], labels)
        return joint_loss(logits, labels, self._weighting.coefficients(elapsed), self._target)

    def _keep(self) -> None:
        state = state_of(self._network.network)
        if self.reached.best_epoch == len(self.reached.history):
            self.reached.best = state
        learned = {f"{LEARNED}{k}": _array(one) for k, one in enumerate(self._weighting.learned())}
        self.reached.now = {**state, **learned}
        self.reached.moments = {
            f"{k}/{name}": _array(value)
            for k, one in enumerate(self._all())
            for name, value in self._optimiser.state[one].items()
            if value is not None
        }

    def _restore(self) -> None:
        now = self.reached.now
        load(self._network.network, {name: value for name, value in now.items() if not name.startswith(LEARNED)})
        with torch.no_grad():
            for k, one in enumerate(self._weighting.learned()):
                one.copy_(torch.from_numpy(now[f"{LEARNED}{k}"]))
        for k, one in enumerate(self._all()):
            held = {name: value for name, value in self.reached.moments.items() if name.startswith(f"{k}/")}
            for name, value in held.items():
                self._optimiser.state[one][name.partition("/")[2]] = torch.from_numpy(value.copy())

    def _all(self) -> list[Tensor]:
        return [*self._trained, *self._weighting.learned()]


def state_of(module: torch.nn.Module) -> Arrays:
    """Copies of its parameters and buffers, by name."""
    return {name: _array(value) for name, value in module.state_dict().items()}


def load(module: torch.nn.Module, state: Arrays) -> None:
    """Give a module a state of its own."""
    module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})


def _array(tensor: Tensor) -> np.ndarray:
    copied: np.ndarray = tensor.detach().numpy().copy()
    return copied


def _optimiser(plan: JointPlan, trained: Sequence[Tensor], learned: Sequence[Tensor]) -> torch.optim.Optimizer:
    groups = [{"params": list(trained), "weight_decay": plan.decay}]
    if learned:  # no decay: it would pull the weights of all losses to the middle
        groups.append({"params": list(learned), "weight_decay": 0.0})
    if plan.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=plan.top_rate, momentum=plan.momentum, nesterov=plan.momentum > 0)
    return torch.optim.AdamW(groups, lr=plan.top_rate)
