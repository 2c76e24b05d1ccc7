"""A frame whose answer from the cloud is late goes on here meanwhile; the first full answer wins.

It costs the device's time, and nobody else's: a segment is run only while no frame waits to be processed.  An answer
that comes afterwards still tells what the link and the worker took, and one that never comes counts against them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edge_runtime.frames.ticket import Ticket


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """A shipped frame, and when its answer was to be expected."""

    ticket: Ticket
    expected_at_s: float


class Hedge:
    """Knows which shipped frame to take deeper.  Pure: no clock.

    Attributes:
        won: how hedged frames ended: "here", "cloud", or "neither" when time was up first.
    """

    def __init__(self) -> None:
        self._shipped: list[Late] = []
        self.won: Counter[str] = Counter()

    def ship(self, ticket: Ticket, expected_at_s: float) -> None:
        """A frame was shipped; one that may not be finished here is not hedged."""
        if ticket.deepest() == ticket.deployment.prefix.exits:
            self._shipped.append(Late(ticket, expected_at_s))

    def next_at(self) -> float | None:
        """When the next answer will be late; None when nothing is in flight."""
        return min((late.expected_at_s for late in self._shipped), default=None)

    def pick(self, now: float) -> Ticket | None:
        """The most urgent frame whose answer is late and which can be finished here in time."""
        overdue = [late for late in self._shipped if late.expected_at_s <= now]
        for late in sorted(overdue, key=lambda late: late.ticket.deadline_at_s):
            if _fits(late.ticket):
                late.ticket.hedged = True
                return late.ticket
            self._shipped.remove(late)
        return None

    def ended(self, ticket: Ticket, how: str) -> None:
        """A shipped frame has its outcome."""
        self._shipped = [late for late in self._shipped if late.ticket is not ticket]
        if ticket.hedged:
            self.won[how] += 1


def whole(ticket: Ticket) -> bool:
    """Take a shipped frame one segment further; has it run through the whole network now, and been read?

    Raises:
        BackendError: the engine refuses.
    """
    run = ticket.run
    assert run is not None
    run.deepen()
    done = run.depth == ticket.deployment.prefix.exits
    if done:
        ticket.read()
    return done


def _fits(ticket: Ticket) -> bool:
    assert ticket.run is not None
    budget, exits = ticket.deployment.budget, ticket.deployment.prefix.exits
    return budget.fits(ticket.run.depth, exits, ticket.deadline_at_s)
