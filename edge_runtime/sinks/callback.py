"""Outcomes to a Python function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_runtime.frames.outcomes import Outcome
from edge_runtime.functions import function_at
from edge_runtime.sinks.base import NOTHING_LOST
from split_core.telemetry.background import LINGER_S


class Callback:
    """Calls a function with one outcome after the other; one that raises has lost that outcome.

    Args:
        function: `package.module:function`, looked for in the working directory too; or the function itself.
        tell: is told about its 1st, 2nd, 4th, 8th, ... error, in one line.
    """

    at_once, linger_s = 1, LINGER_S

    def __init__(self, *, function: str | Callable[[Outcome], Any], tell: Callable[[str], None]) -> None:
        self._function = function if callable(function) else function_at("function", function)
        self._tell, self._errors = tell, 0

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing is open."""

    def deliver(self, outcomes: Sequence[Outcome], _: threading.Event) -> Mapping[str, int]:
        """Call; takes as long as the function takes."""
        failed = 0
        for outcome in outcomes:
            try:
                self._function(outcome)
            except Exception as error:  # a stranger's code, and the next outcome is none of its business
                failed += 1
                self._note(f"{type(error).__name__}: {error}".partition("\n")[0])
        return {"failed": failed} if failed else NOTHING_LOST

    def _note(self, what: str) -> None:
        self._errors += 1
        if self._errors & (self._errors - 1) == 0:
            self._tell(f"the function fails, errors so far: {self._errors}; the last: {what}")
