"""The one place where tests of bandits make a `Reading`: what a policy may look at is exit, label, confidence."""

from __future__ import annotations

from split_core.readings import Reading


def reading(exit: int, label: int, confidence: float) -> Reading:
    """A reading of exit `exit` (from 1) without class probabilities, as it comes from a trace."""
    return Reading(exit, label, confidence)
