from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.link.ledger import Ledger


@given(
    st.lists(st.tuples(st.sampled_from(["open", "close", "due"]), st.integers(1, 30), st.floats(0, 10)), max_size=80)
)
def test_every_entry_leaves_exactly_once(script):
    ledger: Ledger[int] = Ledger(capacity=10)
    opened, left = set(), []
    for action, number, moment in script:
        if action == "open" and not ledger.full and number not in opened:
            ledger.open(number, number, moment)
            opened.add(number)
        elif action == "close":
            entry = ledger.close(number)
            left += [] if entry is None else [entry]
        elif action == "due":
            entry = ledger.pop_due(moment)
            left += [] if entry is None else [entry]
    while (entry := ledger.pop_due(float("inf"))) is not None:
        left.append(entry)
    assert sorted(left) == sorted(opened)
    assert len(ledger) == 0
    assert ledger.next_due_at() is None


def test_the_most_urgent_entry_is_due_first():
    ledger: Ledger[str] = Ledger(capacity=3)
    ledger.open(1, "later", 2.0)
    ledger.open(2, "sooner", 1.0)
    assert ledger.next_due_at() == 1.0
    assert ledger.pop_due(0.5) is None
    assert ledger.pop_due(3.0) == "sooner"
    assert ledger.pop_due(3.0) == "later"


def test_a_full_ledger_refuses():
    ledger: Ledger[int] = Ledger(capacity=1)
    ledger.open(1, 1, 1.0)
    assert ledger.full
    with pytest.raises(ValueError, match="full"):
        ledger.open(2, 2, 1.0)


def test_request_ids_never_repeat():
    ledger: Ledger[int] = Ledger(capacity=1)
    assert len({ledger.new_id() for _ in range(100)}) == 100
