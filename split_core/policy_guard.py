"""The optional sections of a policy file that keep answers from being given early."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from split_core.config import Section
from split_core.conformal import ConformalSets


class AbstainSection(Section):
    """Conformal sets: an answer whose set is not one single class is unsure.

    Attributes:
        alpha: chance that the true class is outside the set.
        method: "lac", see `split_core.conformal`.
        quantiles: of 1 - p, per exit: one, or one per class.
        samples: that they were taken from.
        coverage: per exit, share of sets that hold the true class, made by the same recipe from one half of the
            samples and counted on the other.
        single: per exit, share of sets of one class, there.
    """

    alpha: float = Field(gt=0, lt=1)
    method: Literal["lac"] = "lac"
    quantiles: tuple[tuple[float, ...], ...] = Field(min_length=1)
    samples: int = Field(default=0, ge=0)
    coverage: tuple[float, ...] = ()
    single: tuple[float, ...] = ()

    def build(self) -> ConformalSets:
        """The value that computes."""
        return ConformalSets(self.quantiles)


class GuardSection(Section):
    """What may not be answered early, whatever the bandit thinks.

    Attributes:
        never_early: classes; an early exit that says one of them does not answer.
        never_early_segments: metadata column to values; a stream with one of them is answered by the last exit.
        deepest: the last exit that is computed on the device; 0 sets no limit.
        abstain: None never abstains.
    """

    never_early: tuple[int, ...] = ()
    never_early_segments: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    deepest: int = Field(default=0, ge=0)
    abstain: AbstainSection | None = None

    @model_validator(mode="after")
    def _classes_are_numbers_from_zero(self) -> GuardSection:
        if any(label < 0 for label in self.never_early):
            raise ValueError(f"never_early: classes are numbers from 0, got {list(self.never_early)}")
        return self

    def never(self, metadata: dict[str, str]) -> bool:
        """Is a stream with this metadata never answered early?"""
        return any(metadata.get(column) in values for column, values in self.never_early_segments.items())


class EnvelopeSection(Section):
    """A promise about the answers given on the device, and how it is kept; see `bandits.envelope`.

    Attributes:
        share: of these answers that is checked by the worker afterwards.
        target: share of them that the full network agrees with; None is what the certified thresholds stand for.
        false_alarm: chance that a promise that is kept is ever called broken.
        fallback: thresholds of exits 1..K-1, null never answers: the cascade that takes over at last; empty leaves
            all answers to the full network.
    """

    share: float = Field(gt=0, le=1)
    target: float | None = Field(default=None, gt=0, lt=1)
    false_alarm: float = Field(default=0.01, gt=0, lt=1)
    fallback: tuple[float | None, ...] = ()


class SegmentsSection(Section):
    """Thresholds of streams by what their metadata says; a value without thresholds here has those of the bandit.

    Attributes:
        column: of the metadata.
        params: value of the column to parameters of the policy "cascade".
    """

    column: str
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def of(self, metadata: dict[str, str]) -> dict[str, Any]:
        """The parameters for a stream; empty when it has none of its own."""
        return self.params.get(metadata.get(self.column, ""), {})
