"""Outcomes as JSON lines, to a file or to standard output."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from edge_runtime.outcomes import Outcome
from split_core.telemetry.background import BackgroundWriter
from split_core.telemetry.decisions import FrameRecord


class JsonLines:
    """Appends one line per outcome, from a thread of its own.

    Args:
        path: a file, or "-" for standard output.
    """

    def __init__(self, path: str) -> None:
        self._path = None if path == "-" else Path(path)
        self._writer = BackgroundWriter(self._append, "outcomes")

    @property
    def lost(self) -> int:
        """Outcomes that could not be written."""
        return self._writer.lost

    def __call__(self, outcome: Outcome, _: FrameRecord) -> None:
        """Take one outcome."""
        self._writer.put(outcome)

    def close(self) -> None:
        """Write what is queued."""
        self._writer.close()

    def _append(self, outcomes: list[Outcome]) -> None:
        text = "".join(json.dumps(asdict(outcome)) + "\n" for outcome in outcomes)
        if self._path is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)
