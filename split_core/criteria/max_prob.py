"""Maximum class probability, the criterion of SplitEE, UCBEE and SDN."""

from __future__ import annotations

from split_core.criteria.base import Plain
from split_core.tensors import FloatArray


def max_prob(probabilities: FloatArray) -> float:
    """Largest of the (C,) class probabilities.  Source: Kaya et al. 2019 (SDN), Bajpai et al. 2023."""
    return float(probabilities.max())


class MaxProb(Plain):
    """Score p_max = max_c p(c), as published: exit when p_max >= threshold."""

    published = "exit when p_max >= threshold in (0, 1]; higher is surer; the score is p_max"

    def score(self, probabilities: FloatArray) -> float:
        """See `max_prob`."""
        return float(probabilities.max())
