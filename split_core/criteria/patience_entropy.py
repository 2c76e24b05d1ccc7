"""Patience over certainty: how many exits in a row are sure (PCEE-BERT)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from split_core.criteria.base import EARLIER, LOGITS, Judgement, Seen, trailing
from split_core.criteria.entropy import normalised_certainty
from split_core.params import number, whole


class PatienceEntropy:
    """Score min(1, count / patience), where count is how many of the last exits are sure in a row.

    Zhang et al. 2022 (PCEE-BERT): an exit is sure when its normalised entropy H / ln C < entropy; exit when
    as many in a row are as the patience asks for.  Not PCEE, which is a way to calibrate.  The ensemble over similar
    layers that its code offers is not here.

    Args:
        patience: sure exits in a row.
        entropy: of an exit that is sure, normalised; lower asks for more.  The default is ours.

    Raises:
        ConfigError: a parameter out of its range.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, EARLIER})
    published = "exit when H / ln C < entropy for patience exits in a row; the score is count / patience, so exit at 1"

    def __init__(self, patience: int = 2, entropy: float = 0.1) -> None:
        self._patience = whole("patience", patience, 1, 1000)
        self._entropy = number("entropy", entropy, 0.0, 1.0)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        count = trailing([1.0 - normalised_certainty(one.probabilities) < self._entropy for one in seen])
        return Judgement(min(1.0, count / self._patience), seen[-1].probabilities)
