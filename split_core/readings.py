"""One exit's answer, made from its logits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from split_core.criteria.base import EARLIER, HIDDEN, TOKENS, Criterion, Plain, Seen
from split_core.criteria.entropy import entropy_nats
from split_core.criteria.margin import margin
from split_core.tensors import Array, FloatArray


@dataclass(frozen=True, slots=True)
class Reading:
    """What one exit says.

    Attributes:
        exit: 1..K.
        label: the likeliest class; -1 when the criterion says that it is none of them.
        confidence: calibrated, in [0, 1].
        probabilities: (C,) float64 that the answer is made of: this exit's after temperature, unless the
            criterion combines exits; None for a reading from a trace, which keeps none.
        seen: what later exits are judged with; None when the criterion looks at one exit only.
    """

    exit: int
    label: int
    confidence: float
    probabilities: FloatArray | None = field(default=None, compare=False, repr=False)
    seen: Seen | None = field(default=None, compare=False, repr=False)

    @property
    def margin(self) -> float:
        """Distance of the two likeliest classes; NaN when it is not known.  Computed when asked: few policies do."""
        return float("nan") if self.probabilities is None else margin(self.probabilities)

    @property
    def entropy(self) -> float:
        """Entropy in nats, after temperature; NaN when it is not known."""
        return float("nan") if self.probabilities is None else entropy_nats(self.probabilities)


@dataclass(frozen=True, slots=True)
class ExitCalibration:
    """How one exit's logits become a calibrated confidence.

    `temperature` divides the logits (Guo et al. 2017).  `scores` and `accuracies`, when not empty, are
    knots of a monotone map from the criterion's score to the probability of being right.
    """

    temperature: float = 1.0
    scores: tuple[float, ...] = ()
    accuracies: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.temperature > 0.0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        if len(self.scores) != len(self.accuracies):
            raise ValueError(f"scores and accuracies must pair up, got {len(self.scores)} and {len(self.accuracies)}")
        for knots in (self.scores, self.accuracies):
            if any(a > b for a, b in itertools.pairwise(knots)):
                raise ValueError("the knots of a reliability map must not decrease")


def softmax(logits: Array, temperature: float = 1.0) -> FloatArray:
    """Class probabilities of (..., C) logits, in float64; safe for large logits."""
    powers: FloatArray = np.array(logits, np.float64)  # a copy: everything below happens in place, for every frame
    if temperature != 1.0:
        powers /= temperature
    powers -= powers.max(axis=-1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


class Reader:
    """Turns logits of any exit into readings; what the device and calibration both use.

    The temperature comes before the criterion, the reliability map after it.

    Args:
        calibrations: one per exit, the first for exit 1.
        criterion: judges what was seen of a frame so far.
    """

    def __init__(self, calibrations: Sequence[ExitCalibration], criterion: Criterion) -> None:
        self._calibrations = tuple(calibrations)
        self._criterion = criterion
        # Most criteria look at one exit's probabilities; they are spared everything else.
        self._score = criterion.score if isinstance(criterion, Plain) else None
        self._maps = [
            (np.asarray(c.scores), np.asarray(c.accuracies)) if c.scores else None for c in self._calibrations
        ]
        self.wants_hidden = HIDDEN in criterion.needs
        self.wants_earlier = EARLIER in criterion.needs
        self.wants_tokens = TOKENS in criterion.needs

    @property
    def exits(self) -> int:
        """How many exits there are, the final one included."""
        return len(self._calibrations)

    def read(
        self,
        exit: int,
        logits: Array,
        hidden: Array | None = None,
        earlier: Sequence[Reading] = (),
        tokens: Array | None = None,
    ) -> Reading:
        """The reading of `exit` (from 1) for one sample.

        Args:
            exit: 1..K.
            logits: (C,); not finite gives confidence 0: a broken exit must never answer.
            hidden: (D,), see `criteria.base.Seen`; wanted when `wants_hidden`, where this device has it.
            earlier: this reader's readings of the same frame, in order; wanted when `wants_earlier`.
                Those of broken exits are passed over.
            tokens: (T,) ids of the frame's tokens; wanted when `wants_tokens`, where the frame is a text.
        """
        if not np.isfinite(logits).all():
            return Reading(exit, 0, 0.0)
        if self._score is None:
            return self._judged(self.see(exit, logits, hidden, tokens), earlier)
        probabilities = softmax(logits, self._calibrations[exit - 1].temperature)
        score = min(1.0, max(0.0, self._score(probabilities)))
        return Reading(exit, int(probabilities.argmax()), self._mapped(exit, score), probabilities)

    def see(self, exit: int, logits: Array, hidden: Array | None = None, tokens: Array | None = None) -> Seen:
        """What an exit with finite logits shows, unjudged; what later exits are judged with."""
        temperature = self._calibrations[exit - 1].temperature
        scaled = np.asarray(logits, np.float64) / temperature
        return Seen(exit, scaled, softmax(logits, temperature), hidden, tokens)

    def _mapped(self, exit: int, score: float) -> float:
        knots = self._maps[exit - 1]
        return score if knots is None else float(np.interp(score, *knots))

    def _judged(self, seen: Seen, earlier: Sequence[Reading]) -> Reading:
        before = [reading.seen for reading in earlier if reading.seen is not None]
        judgement = self._criterion((*before, seen))
        score = min(1.0, max(0.0, judgement.score))
        label = int(judgement.probabilities.argmax()) if judgement.known else -1
        return Reading(seen.exit, label, self._mapped(seen.exit, score), judgement.probabilities, seen)
