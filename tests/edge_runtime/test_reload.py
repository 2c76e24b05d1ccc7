"""Settings that change while a camera runs; `tests/system/test_reload.py` has the running camera."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.config import EdgeConfig
from edge_runtime.reload import flat, merged
from split_core.config import parsed
from split_core.errors import ConfigError

DOOR: dict[str, Any] = {
    "bundle": "b",
    "policy": "p.yaml",
    "profile": "h.yaml",
    "source": {"kind": "array", "fps": 10, "options": {"path": "a.npz"}},
}
TWO = {
    **{key: value for key, value in DOOR.items() if key != "source"},
    "streams": {"door": {"source": DOOR["source"]}, "yard": {"source": DOOR["source"], "deadline_ms": 500}},
}


def config(document: dict[str, Any], **changes: Any) -> EdgeConfig:
    return parsed({**document, **changes}, EdgeConfig, "test")


def test_what_can_change_is_taken_and_what_cannot_is_named_and_stays() -> None:
    new = config(DOOR, deadline_ms=300, threads=4, audit={"share": 0.1, "patience_ms": 9}, link={"in_flight": 3})
    found, changed, kept = merged(config(DOOR), new)
    assert changed == ("audit.share", "deadline_ms")
    assert kept == ("audit.patience_ms", "link.in_flight", "threads")
    assert (found.deadline_ms, found.audit.share) == (300, 0.1)
    assert (found.threads, found.audit.patience_ms, found.link.in_flight) == (1, 2000, 32)


def test_every_camera_of_several_may_get_its_own_pace_and_deadline() -> None:
    faster = {**DOOR["source"], "fps": 20}
    streams = {"door": {"source": faster, "deadline_ms": 250}, "yard": {"source": {**faster, "kind": "directory"}}}
    found, changed, kept = merged(config(TWO), config(TWO, streams=streams))
    assert kept == ("streams.yard.source.kind",)
    assert len(changed) == 4
    cameras = found.cameras()
    assert [cameras[name].source.fps for name in ("door", "yard")] == [20, 20]  # type: ignore[union-attr]
    assert [cameras[name].deadline_ms for name in ("door", "yard")] == [250, 200]


def test_a_camera_more_or_less_needs_a_restart() -> None:
    fewer = config(TWO, streams={"door": TWO["streams"]["door"]})
    found, changed, kept = merged(config(TWO), fewer)
    assert list(found.streams) == ["door", "yard"]
    assert changed == ()
    assert all(name.startswith("streams.yard.") for name in kept)


def test_a_bandit_may_come_and_go() -> None:
    with_one = config(DOOR, bandit={"name": "fixed", "params": {"split": 2, "threshold": 0.5}})
    found, _, kept = merged(config(DOOR), with_one)
    assert (found.bandit, kept) == (with_one.bandit, ())
    found, _, kept = merged(with_one, config(DOOR))
    assert (found.bandit, kept) == (None, ())


def test_a_store_is_not_left_or_entered_while_it_runs(tmp_path) -> None:
    found, changed, kept = merged(config(DOOR), config(DOOR, policy=str(tmp_path)))
    assert (found.policy, changed, kept) == ("p.yaml", (), ("policy",))


def test_settings_that_contradict_what_stays_are_refused() -> None:
    old = config(TWO, streams={**TWO["streams"], "gate": {"source": DOOR["source"], "deadline_ms": 30}}, margin_ms=20)
    new = config(TWO, margin_ms=40)  # alone it is fine: it has no gate
    with pytest.raises(ConfigError, match="margin_ms 40"):
        merged(old, new)


@given(st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xy"), st.integers()), max_size=3))
def test_flat_names_lead_to_every_value(document: dict[str, dict[str, int]]) -> None:
    found = flat(document)
    assert {f"{a}.{x}": value for a, inner in document.items() for x, value in inner.items()} == {
        name: value for name, value in found.items() if value != {}
    }
