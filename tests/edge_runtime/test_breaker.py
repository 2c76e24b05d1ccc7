from __future__ import annotations

from edge_runtime.breaker import Breaker


def closed(now: float = 0.0) -> Breaker:
    breaker = Breaker(failures=2, probe_every_s=0.2, answer_within_s=0.1)
    breaker.probed(1, now)
    assert breaker.probe_answered(1, now + 0.01)
    return breaker


def test_it_begins_open_and_asks_at_once():
    breaker = Breaker()
    assert not breaker.allows(0.0)
    assert breaker.probe_due(0.0)


def test_an_answered_probe_closes_it():
    assert closed().allows(0.02)


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not():
    breaker = closed()
    breaker.failed(1.0)
    breaker.succeeded()
    breaker.failed(1.1)
    assert breaker.allows(1.1)
    breaker.failed(1.2)
    assert not breaker.allows(1.2)
    assert breaker.probe_due(1.2)


def test_probes_keep_their_distance():
    breaker = Breaker(probe_every_s=0.2)
    breaker.probed(1, 5.0)
    assert not breaker.probe_due(5.19)
    assert breaker.probe_due(5.2)
    assert breaker.probe_at() == 5.2


def test_a_probe_that_was_answered_too_late_does_not_close_it():
    breaker = Breaker(answer_within_s=0.1)
    breaker.probed(1, 0.0)
    assert not breaker.probe_answered(1, 0.2)
    assert breaker.is_open


def test_an_answer_to_a_probe_from_before_the_last_opening_does_not_close_it():
    breaker = closed()
    breaker.probed(7, 1.0)
    breaker.trip(1.01)
    assert not breaker.probe_answered(7, 1.02)


def test_holding_passes():
    breaker = closed()
    breaker.hold(2.0)
    assert not breaker.allows(1.9)
    assert breaker.allows(2.0)
    assert not breaker.is_open
