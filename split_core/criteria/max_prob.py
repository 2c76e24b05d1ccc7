"""Maximum class probability, the criterion of SplitEE, UCBEE and SDN."""

from __future__ import annotations

from split_core.tensors import FloatArray


def max_prob(probabilities: FloatArray) -> float:
    """Largest of the (C,) class probabilities.  Source: Kaya et al. 2019 (SDN), Bajpai et al. 2023."""
    return float(probabilities.max())
