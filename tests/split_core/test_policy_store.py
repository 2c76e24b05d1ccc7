from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from split_core import policy as policies
from split_core.cli import main
from split_core.errors import PolicyFileError
from split_core.policy import ExitSection, PolicyFile
from split_core.policy_store import PolicyStore, name_of
from split_core.version_history import Entry, line_of_actives

BUNDLE, OTHER = "a" * 64, "b" * 64


def made(version: int = 1, bundle_id: str = BUNDLE) -> PolicyFile:
    return PolicyFile(version=version, bundle_id=bundle_id, exits=(ExitSection(),) * 2)


@pytest.fixture
def store(tmp_path: Path) -> PolicyStore:
    return PolicyStore(tmp_path / "store", clock=lambda: "2026-11-23T12:00:00+00:00")


def add(store: PolicyStore, policy: PolicyFile) -> str:
    file = store.folder.parent / "new.yaml"
    policies.save(policy, file)
    return store.add(file)


def test_a_candidate_goes_through_shadow_to_active(store: PolicyStore):
    name = add(store, made())
    assert name == name_of(made())
    assert store.promote().to == "shadow"
    assert [store.pointer(state) for state in ("candidate", "shadow", "active")] == ["", name, ""]
    assert store.promote().to == "active"
    assert [store.pointer(state) for state in ("candidate", "shadow", "active")] == ["", "", name]
    assert policies.load(store.path("active")) == made()


def test_rollback_goes_back_one_step_at_a_time_and_stops_at_the_first(store: PolicyStore):
    first, second, third = (add(store, made(version)) for version in (1, 2, 3))
    for name in (first, second, third):
        store.promote("active", name)
    assert store.rollback().name == second
    assert store.rollback().name == first
    with pytest.raises(PolicyFileError, match="no policy was active before"):
        store.rollback()
    assert store.pointer("active") == first


def test_after_a_rollback_the_next_promotion_builds_on_what_is_active(store: PolicyStore):
    first, second, third = (add(store, made(version)) for version in (1, 2, 3))
    store.promote("active", first)
    store.promote("active", second)
    store.rollback()
    store.promote("active", third)
    assert store.rollback().name == first


@pytest.mark.parametrize("undone", ["promote", "rollback"])
def test_a_power_cut_between_history_and_pointer_spoils_no_rollback(store: PolicyStore, undone: str):
    first, second, third = (add(store, made(version)) for version in (1, 2, 3))
    for name in (first, second, third)[: 3 if undone == "rollback" else 2]:
        store.promote("active", name)
    if undone == "rollback":  # pointer moved, not yet in the history
        (store.folder / "active").write_text(second)
    else:  # in the history, pointer not yet moved
        store.promote("active", third)
        (store.folder / "active").write_text(second)
    assert store.rollback().name == first


def test_a_policy_of_another_bundle_is_refused_and_nothing_moves(store: PolicyStore):
    first = add(store, made())
    store.promote("active")
    other = add(store, made(2, OTHER))
    with pytest.raises(PolicyFileError, match="made for bundle bbbbbbbbbbbb, this one is aaaaaaaaaaaa"):
        store.promote("active", other)
    assert (store.pointer("active"), store.pointer("candidate")) == (first, other)
    assert store.promote("active", other, bundle_id=OTHER).was == first  # said so: the bundle was changed, too


def test_a_version_that_was_altered_is_not_promoted(store: PolicyStore):
    name = add(store, made())
    (store.folder / name).write_text((store.folder / name).read_text().replace("mu: 0.01", "mu: 0.5"))
    with pytest.raises(PolicyFileError, match="content hashes to"):
        store.promote()
    assert store.pointer("shadow") == ""


def test_a_version_behind_another_ones_name_is_refused(store: PolicyStore):
    first, second = add(store, made(1)), add(store, made(2))
    (store.folder / first).write_bytes((store.folder / second).read_bytes())
    with pytest.raises(PolicyFileError, match=f"holds {second}"):
        store.load(first)


@pytest.mark.parametrize("text", ["../../etc/passwd", "0001-zz.yaml", "\xff"])
def test_a_pointer_leads_nowhere_else(store: PolicyStore, text: str):
    add(store, made())
    (store.folder / "active").write_bytes(text.encode("latin-1"))
    with pytest.raises(PolicyFileError, match="active"):
        store.path("active")


def test_whoever_changes_the_history_breaks_its_chain(store: PolicyStore):
    for version in (1, 2, 3):
        add(store, made(version))
    path = store.folder / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert len(store.history()) == 3
    path.write_text("".join([lines[0], lines[2]]))
    with pytest.raises(PolicyFileError, match="line 2: the hash chain is broken"):
        store.history()


def test_a_half_written_line_of_history_is_dropped_by_the_next(store: PolicyStore):
    add(store, made(1))
    path = store.folder / "history.jsonl"
    path.write_bytes(path.read_bytes() + b'["abc", {"at"')
    add(store, made(2))
    assert [entry.name for entry in store.history()] == [name_of(made(1)), name_of(made(2))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["promote a", "promote b", "promote c", "rollback"]), max_size=12))
def test_the_line_of_actives_is_a_stack(steps: list[str]):
    stack: list[str] = []
    entries: list[Entry] = []
    for step in steps:
        what, _, name = step.partition(" ")
        if what == "rollback" and len(stack) < 2:
            continue
        stack = stack[:-1] if what == "rollback" else [*stack, name]
        entries.append(Entry("", "", what, stack[-1], "active", ""))
    assert line_of_actives(entries, stack[-1] if stack else "") == stack


def test_promote_and_rollback_take_well_under_a_second(store: PolicyStore):
    add(store, made(1))
    store.promote("active")
    add(store, made(2))
    started_s = time.perf_counter()
    store.promote("active")
    store.rollback()
    assert time.perf_counter() - started_s < 1.0


def test_the_verbs_of_the_command_walk_the_same_way(store: PolicyStore, tmp_path: Path, capsys):
    file, folder = tmp_path / "p.yaml", str(store.folder)
    policies.save(made(), file)
    for words in (["add", folder, str(file)], ["promote", folder, "--to", "active"]):
        assert main(["policy", *words]) == 0
    main(["policy", "set", str(file), "objective.mu=0.02"])
    for words in (["add", folder, str(file)], ["promote", folder], ["promote", folder]):
        assert main(["policy", *words]) == 0
    capsys.readouterr()
    assert main(["policy", "show", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objective"]["mu"] == 0.02
    assert main(["policy", "rollback", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == name_of(made())
    assert main(["policy", "history", folder, "--json"]) == 0
    did = [entry["what"] for entry in json.loads(capsys.readouterr().out)]
    assert did == ["add", "promote", "add", "promote", "promote", "rollback"]


def test_promoting_nothing_is_one_line(tmp_path: Path, capsys):
    assert main(["policy", "promote", str(tmp_path)]) == 3
    assert "nothing to promote" in capsys.readouterr().err


def test_check_says_what_was_checked_and_refuses_the_wrong_bundle(tiny_bundle: Path, tmp_path: Path, capsys):
    from split_core import bundle as bundles

    right = PolicyFile(bundle_id=bundles.load(tiny_bundle).id, exits=(ExitSection(),) * 3)
    policies.save(right, tmp_path / "right.yaml")
    policies.save(made(), tmp_path / "wrong.yaml")
    assert main(["policy", "check", str(tmp_path / "right.yaml"), "--bundle", str(tiny_bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] == ["content", "bundle"]
    assert main(["policy", "check", str(tmp_path / "wrong.yaml"), "--bundle", str(tiny_bundle)]) == 3
    assert "made for bundle aaaaaaaaaaaa" in capsys.readouterr().err


def test_check_compares_the_data(tmp_path: Path, capsys):
    import numpy as np

    from split_core import traces
    from split_core.evidence import Evidence
    from split_core.traces import Traces

    trace = Traces(np.full((5, 2), 0.5), np.zeros((5, 2), np.int64), np.arange(5))
    traces.save(trace, tmp_path / "t.npz")
    fitted = made().model_copy(update={"evidence": Evidence(data_sha256=trace.digest())})
    policies.save(fitted, tmp_path / "right.yaml")
    policies.save(made(), tmp_path / "wrong.yaml")
    assert main(["policy", "check", str(tmp_path / "right.yaml"), "--trace", str(tmp_path / "t.npz")]) == 0
    assert main(["policy", "check", str(tmp_path / "wrong.yaml"), "--trace", str(tmp_path / "t.npz")]) == 3
    assert "calibrated on data" in capsys.readouterr().err
