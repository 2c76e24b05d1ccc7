"""TensorRT's messages, kept instead of printed: an error of ours ends in the last thing that it complained about."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Any

KEPT = 20  # a parser that refuses a node says so in five messages


class Log:
    """Errors that TensorRT reported since `clear`.

    Args:
        trt: the module.

    Attributes:
        handle: the `trt.ILogger` to give to builders, parsers and runtimes.
    """

    def __init__(self, trt: Any) -> None:
        kept: deque[str] = deque(maxlen=KEPT)
        grave = {trt.Logger.ERROR, trt.Logger.INTERNAL_ERROR}

        def log(_: Any, severity: Any, message: str) -> None:
            if severity in grave:
                kept.append(message)

        # Called by C++: the base must be initialised, and an exception here has nowhere to go.
        quiet = type("QuietLogger", (trt.ILogger,), {"__init__": trt.ILogger.__init__, "log": log})
        self.handle = quiet()
        self._kept = kept

    def clear(self) -> None:
        """Forget what was said."""
        self._kept.clear()

    def last(self) -> str:
        """The last complaint in one line of at most 300 characters."""
        return " ".join(self._kept[-1].split())[:300] if self._kept else "it gave no reason"


@cache
def log_of(trt: Any) -> Log:
    """The log of a module, one per process: TensorRT keeps the first logger that it was given and ignores others."""
    return Log(trt)
