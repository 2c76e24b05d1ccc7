"""What a kind of sink must do, and how an outcome is written down."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol

from edge_runtime.frames.outcomes import Outcome

FIELDS = tuple(field.name for field in fields(Outcome))
NOTHING_LOST: Mapping[str, int] = {}


class Outlet(Protocol):
    """One kind of sink: delivers, from a thread of its own that may wait.

    A class is called with what a person wrote as keyword arguments, and with those of these that it asks for:
    `device`, the name in the configuration; `cameras`, all names; `tell`, for a change of its state in one line.  It
    starts nothing before `open`.  Filter, queue and counting are not its business, see `edge_runtime.sinks.sink`.

    Attributes:
        at_once: outcomes at most that `deliver` takes.
        linger_s: between two deliveries, to gather more.
    """

    at_once: int
    linger_s: float

    def open(self) -> None:
        """Called once, before anything else; must not wait."""

    def deliver(self, outcomes: Sequence[Outcome], closing: threading.Event) -> Mapping[str, int]:
        """Hand over, in order; returns how many were lost, by reason.

        May wait and try again, as long as it takes: what comes meanwhile waits in the queue.  Once `closing` is set it
        tries at most once more.  A disk's or peer's trouble is a reason, never an error.
        """

    def close(self) -> None:
        """Give everything back; nothing is delivered any more."""


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """As JSON types."""
    return {name: getattr(outcome, name) for name in FIELDS}  # `dataclasses.asdict` takes five times as long


def as_json(outcome: Outcome) -> str:
    """In one line."""
    return json.dumps(as_dict(outcome))
