"""Which outcomes a sink wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge_runtime.frames.outcomes import Outcome

Wanted = Callable[[Outcome], bool]


class Changed:
    """Those whose label is another than that of the camera's outcome before."""

    def __init__(self) -> None:
        self._labels: dict[str, int] = {}

    def __call__(self, outcome: Outcome) -> bool:
        """Look at every outcome, in order."""
        before = self._labels.get(outcome.camera)
        self._labels[outcome.camera] = outcome.label
        return before != outcome.label


# By the word in the configuration.
WANTED: dict[str, Callable[[], Wanted]] = {
    "all": lambda: lambda _: True,
    "changed": Changed,
    "degraded": lambda: lambda outcome: bool(outcome.degraded),
    "marked": lambda: lambda outcome: bool(outcome.marked),
}


def any_of(words: Iterable[str]) -> Wanted:
    """What at least one of these words of `WANTED` names."""
    each = [WANTED[word]() for word in words]
    # All are asked: some count.
    return each[0] if len(each) == 1 else lambda outcome: any([wanted(outcome) for wanted in each])
