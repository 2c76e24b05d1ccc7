"""What an exit criterion sees and says.

A criterion is a pure function of what has been seen of one frame so far; it keeps nothing between calls.
A score of 1 always means surest, whatever direction and unit its paper uses; each says how it converts.
A rule that counts (patience, votes) reaches 1 exactly when the published rule exits, so that the
threshold 1 is the published one and smaller thresholds ask for a part of the count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from split_core.tensors import Array, FloatArray

# What a criterion may need.
LOGITS, HIDDEN, EARLIER, WEIGHTS, TOKENS = "logits", "hidden", "earlier", "weights", "tokens"


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One exit of one frame.

    Attributes:
        exit: 1..K.
        logits: (C,) float64, divided by the exit's temperature.
        probabilities: (C,) float64, their softmax.
        hidden: (D,) floats, what `pooled` makes of the hidden state that the exit read; None when nobody
            needs it, and where this device has none: at the last exit, which ends in logits, and in what
            a worker answers.  Criteria of hidden states judge such an exit by its largest probability.
        tokens: (T,) integers, ids of the sample's tokens as its network takes them; negative ones are none.  The
            same at every exit; None when nobody needs them, and of what is no text.
    """

    exit: int
    logits: FloatArray
    probabilities: FloatArray
    hidden: Array | None = None
    tokens: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What a criterion says of the last exit seen.

    Attributes:
        score: in [0, 1]; higher is surer.
        probabilities: (C,) what the answer is made of: the exit's own, or those of an ensemble or a vote.
        known: False labels the sample as none of the classes.
    """

    score: float
    probabilities: FloatArray
    known: bool = True


class Criterion(Protocol):
    """Judges the last of the exits seen.

    Attributes:
        needs: of "logits", "hidden", "tokens", "earlier" (exits seen before this one) and "weights" (trained
            arrays).
        published: direction, unit and threshold of the source, in a line.
    """

    needs: ClassVar[frozenset[str]]
    published: ClassVar[str]

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """The judgement of `seen[-1]`; `seen` holds the exits that were read, in order, at least one."""
        ...


class Plain(ABC):
    """A criterion of this exit's probabilities alone; readers take `score` directly, which costs the least."""

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS})
    published: ClassVar[str]

    @abstractmethod
    def score(self, probabilities: FloatArray) -> float:
        """(C,) class probabilities to a score in [0, 1]."""

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        probabilities = seen[-1].probabilities
        return Judgement(self.score(probabilities), probabilities)


def pooled(tensor: Array) -> FloatArray:
    """(D,) one vector of one sample's hidden state, see `pooled_rows`."""
    row: FloatArray = pooled_rows(tensor[:1])[0]
    return row


def pooled_rows(tensor: Array) -> FloatArray:
    """(N, D) one vector per sample of a hidden state: the mean over positions.

    Args:
        tensor: (N, D, H, W) maps, (N, T, D) tokens, (N, D) vectors.
    """
    rows = np.asarray(tensor, np.float64)
    if rows.ndim == 3:
        return np.asarray(rows.mean(axis=1), np.float64)
    flat = rows.reshape(*rows.shape[:2], -1) if rows.ndim > 3 else rows.reshape(len(rows), -1, 1)
    return np.asarray(flat.mean(axis=2), np.float64)


def surest_class(seen: Seen) -> int:
    """The likeliest class of one exit."""
    return int(seen.probabilities.argmax())


def trailing(passes: Sequence[bool]) -> int:
    """How many of the last ones pass without a gap."""
    count = 0
    for one in reversed(passes):
        if not one:
            break
        count += 1
    return count
