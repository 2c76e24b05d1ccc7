"""What exits computed, before anybody's calibration: for whoever reads a frame again by other rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.frames.prefix import Prefix, Run
from split_core.readings import Reader, Reading
from split_core.tensors import Array


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """One exit.

    Attributes:
        exit: 1..K.
        logits: (C,).
        hidden: (D,), see `Run.pooled_hidden`; None when nobody wanted it, and at the last exit.
        tokens: (T,) ids of the text's tokens; None for a picture.
    """

    exit: int
    logits: Array
    hidden: Array | None = None
    tokens: Array | None = None

    @staticmethod
    def of(run: Run, logits: Array, *, hidden: bool) -> Raw:
        """Of the exit at the present depth; copied, for the engine may use its buffers again."""
        return Raw(run.depth, np.array(logits), run.pooled_hidden() if hidden else None, run.tokens)

    def read(self, reader: Reader, earlier: Sequence[Reading]) -> Reading:
        """As `reader` reads it, behind its own earlier readings.

        Raises:
            ConfigError: its criterion does not fit the network's hidden states.
        """
        return reader.read(self.exit, self.logits, self.hidden if reader.wants_hidden else None, earlier, self.tokens)


class Probe:
    """What every exit says of a frame that shows nothing.

    Computing it warms the engine up; new rules are tried on it without asking the engine again.

    Args:
        prefix: the network.
    """

    def __init__(self, prefix: Prefix) -> None:
        self._prefix = prefix
        self._raws: tuple[Raw, ...] = ()

    def compute(self) -> None:
        """Run something blank through everything, so that the first real frame meets its deadline.

        Raises:
            BackendError: the engine refuses the network.
        """
        run, raws = self._prefix.blank(), []
        while run.depth < self._prefix.exits:
            run.deepen()
            raws.append(Raw.of(run, run.logits(), hidden=True))
        self._raws = tuple(raws)

    def check(self, reader: Reader) -> None:
        """Refuse rules that cannot read this network.  Any thread may ask.

        Raises:
            ConfigError: the criterion does not fit the network's hidden states.
        """
        readings: list[Reading] = []
        for raw in self._raws:
            readings.append(raw.read(reader, readings))
