"""How wide the hidden states are that trained arrays are for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from split_core.criteria.arrays import array
from split_core.errors import ConfigError
from split_core.tensors import Array


class Widths:
    """Hidden states of exits 1..K-1, filled with zeros up to the widest: what is learned of them has one shape.

    Args:
        arrays: `widths` (K - 1,), one per exit; without it all are `widest`.
        exits: K.
        widest: D.

    Raises:
        ConfigError: not one width of 1..D per exit.
    """

    def __init__(self, arrays: Mapping[str, Array], exits: int, widest: int) -> None:
        said = array(arrays, "widths", exits - 1) if "widths" in arrays else np.full(exits - 1, widest)
        if not ((said >= 1) & (said <= widest)).all():
            raise ConfigError(f"array 'widths': expected numbers from 1 to {widest}, got {said.tolist()}")
        self._widths = [int(one) for one in said]
        self._widest = widest

    def filled(self, exit: int, hidden: Array) -> Array:
        """(D,) the state of one exit.

        Raises:
            ConfigError: it is not as wide as the arrays were trained for.
        """
        width = self._widths[exit - 1]
        if hidden.shape != (width,):
            raise ConfigError(
                f"hidden state of exit {exit} is {hidden.size} wide, the arrays are for {width}; "
                f"train the criterion for this network"
            )
        return hidden if width == self._widest else np.pad(hidden, (0, self._widest - width))
