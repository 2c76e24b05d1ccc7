"""The learning rate of a step, from nothing but how far the training is: so it can go on from anywhere."""

from __future__ import annotations

from math import cos, pi

WARM = 0.3  # share of the steps on the way up
FIRST, LAST = 25.0, 25.0 * 1e4  # the top is divided by these


def rate(name: str, top: float, step: int, steps: int) -> float:
    """Learning rate of a step.

    `cosine` is Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts and down to 0.  `onecycle` is
    Smith and Topin 2018 with the constants and cosines of torch's OneCycleLR, momentum left as it is.

    Args:
        name: "cosine" or "onecycle".
        top: the greatest.
        step: from 0.
        steps: in all, above `step`.
    """
    if name == "cosine":
        return _between(top, 0.0, step / steps)
    summit, end = WARM * steps - 1.0, steps - 1.0
    if step <= summit:
        return _between(top / FIRST, top, step / summit if summit > 0 else 1.0)
    return _between(top, top / LAST, (step - summit) / (end - summit))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + cos(pi * share))
