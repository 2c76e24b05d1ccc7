from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_runtime.estimates import Estimates
from cloud_runtime.scheduler import Batch, Request, Scheduler

BUNDLE, EXITS, SEGMENT_S = "b", 4, 0.010
numbers = itertools.count(1)


def scheduler(max_batch_rows: int = 4, alone: frozenset[tuple[str, int]] = frozenset()) -> Scheduler:
    estimates = Estimates({BUNDLE: [SEGMENT_S] * EXITS, "other": [SEGMENT_S] * 2}, max_batch_rows)
    return Scheduler({BUNDLE: EXITS, "other": 2}, estimates, max_batch_rows=max_batch_rows, alone=alone)


def request(
    segment: int = 1,
    peer: bytes = b"door",
    *,
    rows: int = 1,
    deadline_s: float = 100.0,
    bundle: str = BUNDLE,
    length: int | None = None,
    arrived_s: float = 0.0,
) -> Request:
    shapes = () if length is None else ((length, 8), (length,))
    return Request(peer, next(numbers), bundle, segment, rows, arrived_s, deadline_s, row_shapes=shapes)


def filled(desk: Scheduler, *requests: Request) -> list[Request]:
    for item in requests:
        desk.add(item)
    return list(requests)


def batch_of(desk: Scheduler, now: float = 0.0) -> Batch:
    batch = desk.next_batch(now)
    assert batch is not None
    return batch


def test_nothing_waits_for_a_batch_to_fill() -> None:
    desk = scheduler(max_batch_rows=16)
    [only] = filled(desk, request())
    assert batch_of(desk).requests == (only,)
    assert desk.next_batch(0.0) is None


def test_what_needs_the_same_segment_runs_together() -> None:
    desk = scheduler()
    [a, _, c] = filled(desk, request(2, b"a"), request(1, b"b"), request(2, b"c"))
    assert batch_of(desk).requests == (a, c)


def test_other_bundles_never_share_a_batch() -> None:
    desk = scheduler()
    filled(desk, request(1), request(1, bundle="other"))
    assert {batch_of(desk).bundle_id, batch_of(desk).bundle_id} == {BUNDLE, "other"}


def test_sequences_of_different_lengths_never_share_a_batch() -> None:
    desk = scheduler()
    [a, b, c, d] = filled(desk, *(request(2, length=length) for length in (5, 7, 5, 7)))
    assert [batch_of(desk).requests, batch_of(desk).requests] == [(a, c), (b, d)]


def test_between_lengths_the_one_that_waits_longest_goes_first() -> None:
    desk = scheduler(max_batch_rows=1)
    often = [request(2, length=5, arrived_s=at) for at in (1.0, 3.0, 4.0)]
    seldom = request(2, length=7, arrived_s=2.0)
    filled(desk, *often, seldom)
    assert [batch_of(desk).requests[0] for _ in range(4)] == [often[0], seldom, *often[1:]]


def test_a_length_that_is_urgent_goes_before_the_others() -> None:
    desk = scheduler()
    [_, urgent] = filled(desk, request(2, length=5), request(2, length=7, deadline_s=3 * SEGMENT_S + 0.001))
    assert batch_of(desk).requests == (urgent,)


def test_the_deepest_goes_first() -> None:
    desk = scheduler()
    filled(desk, request(1), request(3), request(2))
    assert [batch_of(desk).segment for _ in range(3)] == [3, 2, 1]


def test_an_early_deadline_at_stake_goes_before_the_deepest() -> None:
    desk = scheduler()
    [_, urgent] = filled(desk, request(4), request(1, deadline_s=4 * SEGMENT_S + 0.001))
    assert batch_of(desk).requests == (urgent,)


def test_a_deadline_that_can_wait_for_one_batch_waits() -> None:
    desk = scheduler()
    [deep, _] = filled(desk, request(4), request(1, deadline_s=5 * SEGMENT_S + 0.001))
    assert batch_of(desk).requests == (deep,)


def test_a_request_that_is_late_whatever_happens_jumps_no_queue() -> None:
    desk = scheduler()
    [deep, _] = filled(desk, request(4), request(1, deadline_s=3 * SEGMENT_S))
    assert batch_of(desk).requests == (deep,)


def test_of_two_deadlines_at_stake_the_one_with_less_slack_goes_first() -> None:
    desk = scheduler()
    [_, _, tight] = filled(
        desk, request(4), request(2, deadline_s=3 * SEGMENT_S + 0.005), request(1, deadline_s=4 * SEGMENT_S + 0.001)
    )
    assert batch_of(desk).requests[0] is tight


def test_the_urgent_one_is_in_the_batch_that_it_causes() -> None:
    desk = scheduler(max_batch_rows=2)
    early = [request(1, b"door") for _ in range(5)]
    urgent = request(1, b"door", deadline_s=4 * SEGMENT_S + 0.001)
    filled(desk, request(4), *early, urgent)
    assert batch_of(desk).requests == (urgent, early[0])


def test_cameras_take_turns() -> None:
    desk = scheduler(max_batch_rows=4)
    filled(desk, *(request(peer=b"loud") for _ in range(20)), request(peer=b"quiet"), request(peer=b"shy"))
    assert Counter(r.peer for r in batch_of(desk).requests) == {b"loud": 2, b"quiet": 1, b"shy": 1}


def test_turns_go_on_over_batches() -> None:
    desk = scheduler(max_batch_rows=1)
    filled(desk, *(request(peer=peer) for peer in (b"a", b"a", b"b", b"b", b"c", b"c")))
    assert [batch_of(desk).requests[0].peer for _ in range(6)] == [b"a", b"b", b"c"] * 2


def test_a_camera_is_served_in_its_own_order() -> None:
    desk = scheduler(max_batch_rows=2)
    asked = filled(desk, *(request() for _ in range(5)))
    assert [r for _ in range(3) for r in batch_of(desk).requests] == asked


def test_what_does_not_fit_comes_first_in_the_next_batch() -> None:
    desk = scheduler(max_batch_rows=4)
    [a, big, c] = filled(desk, request(peer=b"a", rows=2), request(peer=b"b", rows=3), request(peer=b"c", rows=1))
    assert batch_of(desk).requests == (a,)
    assert batch_of(desk).requests == (big, c)


def test_a_segment_without_batch_axis_runs_one_request_at_a_time() -> None:
    desk = scheduler(alone=frozenset({(BUNDLE, 2)}))
    filled(desk, request(2), request(2), request(1), request(1))
    assert [len(batch_of(desk).requests) for _ in range(3)] == [1, 1, 2]


def test_what_is_past_its_deadline_is_taken_out() -> None:
    desk = scheduler()
    [late, fine] = filled(desk, request(1, deadline_s=1.0), request(2, deadline_s=2.0))
    assert desk.expire(0.99) == []
    assert desk.expire(1.0) == [late]
    assert desk.queued_rows == 1
    assert list(desk.waiting()) == [fine]
    assert desk.expire(2.0) == [fine]
    assert desk.next_batch(2.0) is None


def test_running_rows_count_as_work_until_they_are_back() -> None:
    desk = scheduler()
    filled(desk, request(1))
    assert desk.work_s() == pytest.approx(4 * SEGMENT_S)
    batch = batch_of(desk)
    assert desk.queued_rows == 0
    assert desk.work_s() == pytest.approx(4 * SEGMENT_S)
    desk.finished(batch)
    assert desk.work_s() == 0.0


moves = st.one_of(
    st.tuples(
        st.just("add"),
        st.integers(1, EXITS),
        st.sampled_from([b"a", b"b", b"c"]),
        st.integers(1, 4),
        st.floats(0, 5),
        st.sampled_from([None, 5, 7]),
    ),
    st.tuples(st.just("take")),
    st.tuples(st.just("expire"), st.floats(0, 5)),
)


@given(st.lists(moves, max_size=60), st.integers(4, 8))
def test_rows_are_never_lost_invented_or_too_many(schedule: list[tuple[object, ...]], max_rows: int) -> None:
    desk = scheduler(max_batch_rows=max_rows)
    inside: set[Request] = set()
    for what, *values in schedule:
        if what == "add":
            segment, peer, rows, deadline_s, length = values
            item = request(segment, peer, rows=rows, deadline_s=deadline_s, length=length)  # type: ignore[arg-type]
            desk.add(item)
            inside.add(item)
        elif what == "take":
            batch = desk.next_batch(0.0)
            assert (batch is None) == (not inside)
            if batch is not None:
                assert batch.rows == sum(item.rows for item in batch.requests) <= max_rows
                assert {(r.bundle_id, r.segment) for r in batch.requests} == {(batch.bundle_id, batch.segment)}
                assert len({r.row_shapes for r in batch.requests}) == 1
                inside -= set(batch.requests)
                desk.finished(batch)
        else:
            gone = set(desk.expire(values[0]))  # type: ignore[arg-type]
            assert all(item.deadline_s <= values[0] for item in gone)  # type: ignore[operator]
            inside -= gone
        assert set(desk.waiting()) == inside
        assert desk.queued_rows == sum(item.rows for item in inside)
        assert sum(desk.rows_of.values()) == desk.queued_rows


@given(st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), min_size=1, max_size=60), st.integers(1, 6))
def test_no_camera_is_served_twice_before_one_that_waits_is_served_once(peers: list[bytes], max_rows: int) -> None:
    desk = scheduler(max_batch_rows=max_rows)
    filled(desk, *(request(peer=peer) for peer in peers))
    served: list[bytes] = []
    while (batch := desk.next_batch(0.0)) is not None:
        served += [item.peer for item in batch.requests]
    totals = Counter(peers)
    for length in range(1, len(served) + 1):
        so_far = Counter(served[:length])
        waiting = [peer for peer in totals if so_far[peer] < totals[peer]]
        assert all(so_far[peer] >= max(so_far.values()) - 1 for peer in waiting)
