"""What a person asks of the training of a criterion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from partitioner.train.criteria import TRAINERS
from partitioner.train.criteria.base import Trainer
from partitioner.train.schedule import Schedule
from split_core.params import call_with


@dataclass(frozen=True)
class CriterionPlan:
    """What shall be trained, and how.

    Attributes:
        criterion: name in `TRAINERS`.
        params: of its trainer.
        schedule: how long and how fast, for those that descend.
        threads: of onnxruntime; 0 for all cores.
    """

    criterion: str
    params: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    threads: int = 0

    def trainer(self) -> Trainer:
        """Who fits the arrays.

        Raises:
            ConfigError: no such criterion, or parameters that its training does not take.
            MissingExtra: torch is not installed and it needs that.
        """
        factory = TRAINERS.load(self.criterion)
        made: Trainer = call_with(f"the training of criterion {self.criterion!r}", factory, self.params, {})
        return made
