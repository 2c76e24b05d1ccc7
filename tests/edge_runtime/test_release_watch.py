"""What the thread beside the frames finds and writes down, look by look."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.releases import watch as release_watch
from edge_runtime.releases.lineup import Lineup
from edge_runtime.releases.watch import Found, Heard, ReleaseWatch
from split_core import wire
from split_core.errors import BackendError
from tests.release_world import Workshop


class Site:
    """A store with an active release and two more, and a watch whose lineups are empty."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.workshop = Workshop(folder)
        self.store = self.workshop.store
        self.first, self.second, self.third = (self.workshop.add(bundle) for _ in range(3))
        self.store.promote("active", self.first)
        self.said: list[str] = []
        self.loads: list[str] = []
        self.refuses: set[str] = set()
        self.now, self.woken = 100.0, 0
        self.watch = self.another()

    def another(self) -> ReleaseWatch:
        """As after a restart."""
        return ReleaseWatch(
            self.store,
            self.first,
            load=self.load,
            ask=lambda hello: {"tcp://worker": hello.bundle_id == "b"},
            tell=self.said.append,
            wake=self.wake,
            clock=lambda: self.now,
        )

    def load(self, name: str) -> tuple[Lineup, dict[str, object]]:
        self.loads.append(name)
        if name in self.refuses:
            raise BackendError("no engine for that")
        return Lineup(name, {}), {}

    def wake(self) -> None:
        self.woken += 1

    def look(self) -> list[tuple[str, str, bool, str]]:
        """What one look finds: name, state, is it usable, why not."""
        self.watch.look()
        found = self.watch.take()
        assert all(isinstance(one, Found) for one in found)
        return [(one.name, one.state, one.lineup is not None, one.why) for one in found if isinstance(one, Found)]

    def unwritable(self) -> Path:
        """The store cannot be written until what is returned is removed."""
        lock = self.store.folder / ".lock"
        lock.unlink()
        lock.mkdir()
        return lock


@pytest.fixture
def site(tiny_bundle: Path, tmp_path: Path) -> Site:
    return Site(tmp_path, tiny_bundle)


def test_each_pointer_is_followed_once(site: Site):
    assert site.look() == []
    site.store.promote("trial", site.second)
    assert site.look() == [(site.second, "trial", True, "")]
    assert site.look() == []
    assert site.woken == 1


def test_what_is_kept_becomes_active_and_is_not_found_again(site: Site):
    site.store.promote("trial", site.second)
    site.look()
    site.watch.keep(site.second)
    assert site.look() == []
    assert (site.store.pointer("active"), site.store.pointer("trial")) == (site.second, "")
    assert site.loads == [site.second]


def test_what_is_refused_is_off_the_store_and_may_be_tried_again(site: Site):
    site.refuses.add(site.second)
    site.store.promote("trial", site.second)
    assert site.look() == [(site.second, "trial", False, "no engine for that")]
    site.watch.refuse(site.second, "no engine for that")
    assert site.look() == []
    assert site.store.history()[-1].why == "no engine for that"
    site.store.promote("trial", site.second)
    assert len(site.look()) == 1


def test_a_trial_that_makes_room_for_another_ends_first(site: Site):
    site.store.promote("trial", site.second)
    site.look()
    site.store.promote("trial", site.third)
    assert site.look() == [(site.second, "trial", False, "it was taken away from its trial")]
    site.watch.refuse(site.second, "it was taken away from its trial")
    assert site.look() == [(site.third, "trial", True, "")]
    assert site.store.pointer("trial") == site.third


def test_a_person_moves_active_and_back(site: Site):
    site.store.promote("active", site.second)
    assert site.look() == [(site.second, "active", True, "")]
    site.store.rollback()
    assert site.look() == [(site.first, "active", True, "")]


def test_a_release_that_ends_the_process_each_time_is_not_tried_a_fourth_time(site: Site):
    site.store.promote("trial", site.second)
    for _ in range(3):
        site.watch = site.another()
        assert len(site.look()) == 1
    site.watch = site.another()
    assert site.look() == []
    assert site.store.pointer("trial") == ""
    assert "never ended" in site.store.history()[-1].why


@pytest.mark.parametrize("verb", ["keep", "refuse"])
def test_what_cannot_be_written_down_is_said_once_and_tried_until_it_can(site: Site, verb: str):
    site.store.promote("trial", site.second)
    site.look()
    lock = site.unwritable()
    if verb == "keep":
        site.watch.keep(site.second)
    else:
        site.watch.refuse(site.second, "it answers differently")
    assert (site.look(), site.look()) == ([], [])
    assert len(site.said) == 1
    lock.rmdir()
    assert site.look() == []
    assert site.store.pointer("trial") == ""
    assert site.store.pointer("active") == (site.second if verb == "keep" else site.first)


def test_a_pointer_that_holds_nonsense_is_said_once(site: Site):
    (site.store.folder / "trial").write_text("../../etc")
    assert (site.look(), site.look()) == ([], [])
    assert len(site.said) == 1
    assert "expected the name of a version" in site.said[0]


def test_workers_are_asked_in_this_thread_and_their_answers_come_as_what_was_found(site: Site):
    site.watch.ask(site.second, wire.Hello(0, "camera", "b", "p", ()))
    site.watch.look()
    assert site.watch.take() == [Heard(site.second, {"tcp://worker": True})]


def test_what_is_retired_is_held_for_a_while(site: Site):
    site.watch.retire(Lineup("0001", {}))
    site.watch.look()
    assert len(site.watch._retired) == 1
    site.now += release_watch.RETIRED_S
    site.watch.look()
    assert site.watch._retired == []
