from __future__ import annotations

import itertools

import pytest

from cloud_runtime.admission import Admission, Admitted, Refused
from cloud_runtime.estimates import Estimates
from cloud_runtime.scheduler import Request, Scheduler

SEGMENT_S, EXITS, NOW = 0.010, 3, 50.0
numbers = itertools.count(1)


class Door:
    def __init__(self, *, max_queue_rows: int = 8, camera_share: float = 0.5, max_batch_rows: int = 4) -> None:
        self.estimates = Estimates({"b": [SEGMENT_S] * EXITS}, max_batch_rows)
        self.scheduler = Scheduler({"b": EXITS}, self.estimates, max_batch_rows=max_batch_rows)
        self.admission = Admission(
            self.scheduler, self.estimates, max_queue_rows=max_queue_rows, camera_share=camera_share, engines=1
        )

    def ask(
        self, peer: bytes = b"door", *, segment: int = 1, rows: int = 1, left_s: float = 10.0
    ) -> Admitted | Refused:
        number = next(numbers)
        request = Request(peer, number, "b", segment, rows, NOW + number * 1e-6, NOW + left_s)
        decision = self.admission.decide(request, NOW)
        if isinstance(decision, Admitted):
            if decision.instead_of is not None:
                self.scheduler.remove(decision.instead_of)
            self.scheduler.add(request)
        return decision


def code(decision: Admitted | Refused) -> str:
    return decision.code if isinstance(decision, Refused) else "admitted"


@pytest.mark.parametrize("left_s", [0.0, -3.0, -1e300])
def test_a_deadline_that_has_passed_is_refused(left_s: float) -> None:
    assert code(Door().ask(left_s=left_s)) == "expired"


def test_a_deadline_that_cannot_be_met_is_refused_with_both_times() -> None:
    decision = Door().ask(left_s=0.029)
    assert isinstance(decision, Refused)
    assert decision.code == "expired"
    assert "30.0 ms" in decision.reason
    assert "29.0 ms" in decision.reason


def test_a_deadline_that_can_just_be_met_is_admitted() -> None:
    assert code(Door().ask(left_s=0.031)) == "admitted"
    assert code(Door().ask(segment=3, left_s=0.011)) == "admitted"


def test_the_backlog_counts_against_the_deadline() -> None:
    door = Door()
    door.ask(segment=1)
    assert code(door.ask(segment=3, left_s=0.025)) == "expired"


def test_a_full_queue_is_busy_and_says_when_to_come_back() -> None:
    door = Door(max_queue_rows=2)
    door.ask()
    door.ask()
    decision = door.ask()
    assert isinstance(decision, Refused)
    assert decision.code == "busy"
    assert decision.retry_after_ms == pytest.approx(30.0)  # one batch of two through three segments


def test_the_bound_is_in_rows() -> None:
    door = Door(max_queue_rows=8, camera_share=1.0)
    assert [code(door.ask(rows=3)) for _ in range(3)] == ["admitted", "admitted", "busy"]


def test_a_camera_alone_may_fill_the_queue() -> None:
    door = Door(max_queue_rows=8)
    assert [code(door.ask()) for _ in range(9)] == ["admitted"] * 8 + ["busy"]


def test_a_camera_may_not_pass_its_share_while_others_wait() -> None:
    door = Door(max_queue_rows=8)
    door.ask(b"gate")
    assert [code(door.ask(b"door")) for _ in range(5)] == ["admitted"] * 4 + ["busy"]


def test_a_newcomer_gets_room_from_the_one_who_holds_too_much() -> None:
    door = Door(max_queue_rows=8)
    for _ in range(8):
        door.ask(b"loud")
    newest = max(door.scheduler.waiting(), key=lambda request: request.arrived_s)
    decision = door.ask(b"quiet")
    assert isinstance(decision, Admitted)
    assert decision.instead_of is newest
    assert door.scheduler.rows_of == {b"loud": 7, b"quiet": 1}


def test_nobody_gives_way_who_is_within_the_share() -> None:
    door = Door(max_queue_rows=8)
    for _ in range(4):
        door.ask(b"a")
        door.ask(b"b")
    assert code(door.ask(b"c")) == "busy"


def test_refusing_for_lack_of_time_is_not_for_ever() -> None:
    door = Door()
    for _ in range(200):
        door.estimates.record("b", 1, 1, 5.0)  # it was slow once: nothing is in time any more
    refused = sum(1 for _ in itertools.takewhile(lambda _: code(door.ask(left_s=0.5)) == "expired", range(1000)))
    assert 1 <= refused < 200
