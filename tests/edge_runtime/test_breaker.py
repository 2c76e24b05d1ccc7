from __future__ import annotations

from edge_runtime.link.breaker import Breaker


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


def half_open(now: float = 0.0) -> Breaker:
    """It was open after failures, and a probe was answered at `now`."""
    breaker = closed(now - 1.0)
    for _ in range(2):
        breaker.failed(now - 0.5)
    breaker.probed(2, now - 0.01)
    assert breaker.probe_answered(2, now)
    return breaker


def test_after_an_outage_one_frame_is_tried_at_a_time_and_its_answer_closes_it():
    breaker = half_open()
    assert breaker.state == "half_open"
    assert breaker.allows(0.0)
    breaker.sent()
    assert not breaker.allows(0.0)
    breaker.succeeded()
    assert breaker.state == "closed"
    assert breaker.allows(0.0)


def test_a_trial_that_comes_back_unread_leaves_room_for_the_next():
    breaker = half_open()
    breaker.sent()
    breaker.refused()
    assert breaker.state == "half_open"
    assert breaker.allows(0.0)


def test_lost_trials_make_the_next_probe_wait_longer_and_an_answer_forgets_them():
    breaker, now, waits = half_open(), 0.0, []
    for number in range(3, 9):
        breaker.sent()
        breaker.failed(now, breaker.epoch)
        due_at_s = breaker.probe_at()
        assert due_at_s is not None
        waits.append(round(due_at_s - now, 6))
        now = due_at_s
        breaker.probed(number, now)
        assert breaker.probe_answered(number, now)
    assert waits == [0.2, 0.4, 0.8, 1.6, 1.6, 1.6]
    breaker.succeeded()
    breaker.failed(now)
    breaker.failed(now)
    assert breaker.probe_at() == now


def test_what_was_sent_before_it_opened_does_not_count_again():
    breaker = half_open()
    breaker.failed(0.0, breaker.epoch - 1)
    assert breaker.state == "half_open"
