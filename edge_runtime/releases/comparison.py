"""Asks one network about live frames that another one has answered: a segment per idle moment, so no frame waits.

It runs the whole network, every exit, and follows its policy through what they say: what would have been answered, and
how long the device would have taken.  On a device without idle moments it may be given a segment between two frames,
where every frame that waits `may_be_delayed`.  Frames whose answer was not the one that was wanted are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bandits.policy import Context
from edge_runtime.following.shadow import Case, Way, followed
from edge_runtime.frames.prefix import Prefix, Run
from edge_runtime.frames.raw import Raw
from edge_runtime.frames.stream import Stream
from edge_runtime.frames.ticket import Ending, Ticket
from edge_runtime.releases.lineup import Place
from split_core.errors import BackendError, DataError


@dataclass(eq=False)
class Question:
    """One frame on its way through the network that is asked.

    Attributes:
        ticket: of the frame, which has its outcome.
        ending: how it ended.
        run: through the other network; None before it begins.
        raws: what its exits said.
    """

    ticket: Ticket
    ending: Ending
    run: Run | None
    raws: list[Raw]


class Comparison:
    """One network beside another.

    Args:
        places: of the one that is asked, by camera.
        answering: the other one's.
        on_compared: told whether a frame was good, and how it was not.
        on_error: told when the one that is asked cannot take a frame.
    """

    def __init__(
        self,
        places: Mapping[str, Place],
        answering: Prefix,
        *,
        on_compared: Callable[[bool, str], None],
        on_error: Callable[[str], None],
    ) -> None:
        self._places, self._answering = places, answering
        self._on_compared, self._on_error = on_compared, on_error
        self._next: tuple[Ticket, Ending] | None = None
        self._now: Question | None = None

    def put(self, ticket: Ticket, ending: Ending) -> None:
        """A frame has its outcome; the newest one is asked about next."""
        if not ending.degraded and ticket.deployment.prefix is self._answering:
            self._next = ticket, ending

    def idle(self) -> bool:
        """One segment; False when there is nothing to ask."""
        if self._now is None and self._next is not None:
            self._now, self._next = Question(*self._next, None, []), None
        question = self._now
        if question is None:
            return False
        try:
            done = self._deepen(question)
        except (BackendError, DataError) as error:
            self._now = None
            self._on_error(str(error))
            return True
        if done:
            self._now = None
            self._judge(question)
        return True

    def _deepen(self, question: Question) -> bool:
        """One segment and its exit; was it the last one?"""
        place, ticket = self._places[question.ticket.camera], question.ticket
        if question.run is None:
            question.run = place.deployment.prefix.start(ticket.frame.item)
        run = question.run
        run.deepen()
        logits = run.logits()
        if not np.isfinite(logits).all():
            raise BackendError(f"exit {run.depth} gave logits that are no numbers")
        question.raws.append(Raw.of(run, logits, hidden=place.asked.reader.wants_hidden))
        return run.depth == place.deployment.prefix.exits

    def _judge(self, question: Question) -> None:
        ticket, run = question.ticket, question.run
        assert run is not None
        place = self._places[ticket.camera]
        place.deployment.costs.observe_device(run.segment_ms, run.head_ms)
        context = _context(place, ticket.plan.context.cloud)
        last = question.raws[-1]
        case = Case(ticket.frame.seq, context, tuple(question.raws), last, -1, question.ending, ticket.camera)
        way = followed(place.asked, place.asked.policy.begin(context), case)
        self._on_compared(*_compared(question, way, place, _ms(way, run, place, context)))


def may_be_delayed(streams: Iterable[Stream], delay_ms: float) -> bool:
    """Could all frames that wait now be delayed, and still run the whole network one after the other in time?"""
    whole_ms, left_ms = delay_ms, float("inf")
    for stream in streams:
        frame, budget = stream.slot.peek(), stream.deployment.budget
        if frame is not None:
            whole_ms += budget.run_ms(0, stream.deployment.prefix.exits)
            left_ms = min(left_ms, budget.left_ms(budget.deadline_at_s(frame.captured_at_s)))
    return whole_ms <= left_ms


def _context(place: Place, cloud: bool) -> Context:
    """As the loop would tell its policy of a fresh frame."""
    rules, deployment = place.asked, place.deployment
    left_ms = place.artefacts.config.deadline_ms - place.artefacts.config.margin_ms
    splits = deployment.budget.splits(0 if cloud and rules.ship_input else 1, deployment.prefix.exits, left_ms)
    prices = deployment.costs.costs(rules.objective, ship_input=rules.ship_input)
    return Context(splits, cloud, left_ms, prices)


def _ms(way: Way, run: Run, place: Place, context: Context) -> float:
    """From the frame to the answer: measured on the device, expected of the link."""
    read = {reading.exit for reading in way.readings}
    device_ms = sum(run.segment_ms[: way.depth + 1]) + sum(run.head_ms[exit] for exit in read if exit <= way.depth)
    shipped = way.where == "cloud"
    return device_ms + (place.deployment.costs.ship_ms(context.costs.payload[way.depth]) if shipped else 0.0)


def _compared(question: Question, way: Way, place: Place, took_ms: float) -> tuple[bool, str]:
    """Answered the same, and in time?  By the names of classes: another network may number them otherwise."""
    assert way.answer is not None
    config, label = place.artefacts.config, question.ending.reading.label
    was = question.ticket.deployment.prefix.labels[label]
    said = place.deployment.prefix.labels[way.answer.label]
    allowed_ms = config.deadline_ms - config.margin_ms
    if took_ms > allowed_ms:
        return False, f"{took_ms:.0f} ms for an answer, {allowed_ms:g} are allowed"
    return said == was, f"{said!r} where it was {was!r}"
