from __future__ import annotations

import pytest

from bandits.link_estimate import LinkModel
from edge_runtime.frames.way import Way
from edge_runtime.link.greetings import EVERY_S, FIRST, FIRST_EVERY_S, PATIENCE_S, Greetings


def answered_after(ms: float, greetings: Greetings, number: int, now: float = 0.0) -> float | None:
    """What is believed of the way when greeting `number` takes so long."""
    greetings.greeted(number, now, 0.0)
    greetings.answered(number, now + ms / 1e3, 200)
    found = greetings.heard()
    return found.way_ms if found else None


def test_some_greetings_come_soon_and_later_ones_only_while_nothing_else_is_sent() -> None:
    greetings, now, moments = Greetings(), 0.0, []
    while now < 3 * EVERY_S:
        if greetings.due(now, 1e9):
            moments.append(now)
            greetings.greeted(len(moments), now, 0.0)
            greetings.answered(len(moments), now + 0.005, 200)
        now += 0.05
    assert moments[FIRST - 1] == pytest.approx((FIRST - 1) * FIRST_EVERY_S, abs=0.2)
    assert all(later - before >= EVERY_S for before, later in zip(moments[FIRST - 1 :], moments[FIRST:], strict=False))
    assert len(moments) > FIRST
    assert not greetings.due(now + EVERY_S, EVERY_S / 2)  # something was sent


def test_one_waits_for_the_one_before_but_not_for_ever() -> None:
    greetings = Greetings()
    greetings.greeted(1, 0.0, 0.0)
    assert not greetings.due(FIRST_EVERY_S, 1e9)
    assert greetings.due(PATIENCE_S, 1e9)


def test_an_answer_that_is_late_or_not_the_newest_ones_says_nothing() -> None:
    greetings = Greetings()
    assert answered_after(PATIENCE_S * 1e3 + 1.0, greetings, 1) is None
    greetings.greeted(2, 0.0, 0.0)
    greetings.answered(1, 0.01, 200)
    assert greetings.heard() is None


def test_the_quickest_of_the_newest_counts() -> None:
    """The others waited for a frame's segments; but a way that has become longer is believed after a few."""
    greetings = Greetings()
    assert [answered_after(ms, greetings, number) for number, ms in enumerate((20.0, 5.0, 18.0))] == pytest.approx(
        [20.0, 5.0, 5.0]
    )
    longer = [answered_after(100.0, greetings, number) for number in range(3, 8)]
    assert longer[-1] == pytest.approx(100.0)


def test_a_greeting_replaces_what_was_believed_and_leaves_what_was_measured() -> None:
    way = Way(LinkModel(50.0, 1.0))
    way.greeted(250, 5.25, 0.0)
    assert way.ms(250) == pytest.approx(5.25)
    assert way.ms(1250) == pytest.approx(6.25)  # the slope is still the one that was believed
    for _ in range(200):
        way.observe(1000, 30.0, 0.0)
    way.greeted(250, 5.25, 0.0)
    assert way.ms(1000) == pytest.approx(30.0, abs=0.5)


def test_after_a_long_silence_a_greeting_is_believed_again() -> None:
    link = LinkModel(50.0, 1.0)
    for _ in range(200):
        link.observe(1000, 30.0)
    link.fade(0.001)
    link.believe(5.0)
    assert link.ms(1000) == pytest.approx(6.0, abs=2.0)
