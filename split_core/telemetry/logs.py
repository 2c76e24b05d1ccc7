"""The application log: state changes only, for people, on standard error."""

from __future__ import annotations

import sys

import structlog


def log_to_stderr(*, as_json: bool = False) -> None:
    """Configure structlog; called by programs' entry points, never at import.

    Args:
        as_json: one JSON object per line instead of text for a terminal.
    """
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
