from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.link.allowance import HOUR_S, Allowance


def sent(allowance: Allowance, moments: list[float], payload_bytes: int) -> list[float]:
    """When something was sent, of the moments at which there was something to send."""
    found = []
    for now in moments:
        if allowance.allows(now):
            allowance.spend(payload_bytes, now)
            found.append(now)
    return found


def test_without_limits_all_is_sent() -> None:
    allowance = Allowance()
    moments = [0.001 * n for n in range(1000)]
    assert sent(allowance, moments, 10**6) == moments
    assert allowance.spent_bytes == 10**9


@given(
    st.lists(st.floats(min_value=0.0, max_value=3 * HOUR_S), max_size=200),
    st.integers(min_value=1, max_value=10**6),
    st.floats(min_value=1e3, max_value=1e8),
    st.floats(min_value=0.0, max_value=HOUR_S),
)
def test_in_no_hour_more_is_sent_than_allowed_but_for_one_payload(
    moments: list[float], payload_bytes: int, bytes_per_hour: float, begin: float
) -> None:
    found = sent(Allowance(bytes_per_hour), sorted(moments), payload_bytes)
    within = [at for at in found if begin <= at < begin + HOUR_S]
    assert len(within) * payload_bytes <= bytes_per_hour * (1 + 1e-9) + payload_bytes


def test_what_was_not_used_for_long_may_be_sent_at_once_up_to_a_tenth_of_an_hours() -> None:
    found = sent(Allowance(1e6), [HOUR_S] * 1000, 10_000)
    assert len(found) == 10


@pytest.mark.parametrize("per_s", [0.5, 5.0])
def test_offloads_come_evenly(per_s: float) -> None:
    found = sent(Allowance(per_s=per_s), [0.01 * n for n in range(6000)], 1)
    assert len(found) == pytest.approx(60 * per_s, abs=1)
    evenly = pairwise(found[1:])  # the first finds a full bucket
    assert all(later - before >= 0.9 / per_s for before, later in evenly)


def test_an_overdrawn_budget_is_made_good_first() -> None:
    allowance = Allowance(HOUR_S * 1000)  # 900 bytes a second come in, and 360,000 are there
    allowance.spend(360_000 + 9_000, 0.0)
    assert not allowance.allows(9.9)
    assert allowance.allows(10.1)
