"""A running camera goes over to another release, and comes back from a bad one, without losing a frame."""

from __future__ import annotations

import shutil
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from edge_runtime.frames.outcomes import Outcome
from edge_runtime.releases import watch as release_watch
from edge_runtime.releases.lineup import Lineup
from split_core import bundle as bundles
from split_core.config import parsed
from split_core.errors import ConfigError, ReleaseError
from split_core.release_store import ReleaseStore
from split_core.telemetry.decisions import read_log, read_notes
from split_core.telemetry.metrics import exposition
from tests.release_server import FolderServer
from tests.release_world import AT_EXIT_1, WHOLE, Failing, Workshop, another_bundle, broken_bundle
from tests.tiny import LABELS

MOST_FRAMES = 6000


@pytest.fixture(scope="module")
def second(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network in another bundle."""
    return another_bundle(tiny_model_path, tmp_path_factory.mktemp("second"), "2")


@pytest.fixture(scope="module")
def contrary(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network, and its classes have each other's names."""
    return another_bundle(tiny_model_path, tmp_path_factory.mktemp("contrary"), "3", labels=LABELS[::-1])


@pytest.fixture
def workshop(tiny_bundle: Path, tmp_path: Path) -> Workshop:
    """A store whose active release is of the tiny bundle."""
    made = Workshop(tmp_path)
    made.add(tiny_bundle)
    made.store.promote("active")
    return made


class Story:
    """A camera, and what happens at its frames."""

    def __init__(self, workshop: Workshop, **changes: Any) -> None:
        self.app = EdgeApp(parsed(workshop.config(**changes), EdgeConfig, "test"))
        self.outcomes: list[Outcome] = []
        self._steps: list[tuple[Callable[[], bool], Callable[[], Any]]] = []

    def when(self, true: Callable[[], bool], do: Callable[[], Any]) -> Story:
        """The next step."""
        self._steps.append((true, do))
        return self

    def play(self) -> list[Outcome]:
        """Until the last step is done."""
        self.app.loop._on_outcome = (*self.app.loop._on_outcome, self._follow)
        self.app.run()
        assert not self._steps, "the story did not come to its end"
        return self.outcomes

    def _follow(self, outcome: Outcome, _: object) -> None:
        self.outcomes.append(outcome)
        if self._steps and self._steps[0][0]():
            self._steps.pop(0)[1]()
        if not self._steps or len(self.outcomes) > MOST_FRAMES:
            self.app.stop()

    def ended(self, result: str) -> Callable[[], bool]:
        return lambda: self.app.releases is not None and self.app.releases.results[result] > 0

    def seen(self, frames: int) -> Callable[[], bool]:
        return lambda: len(self.outcomes) >= frames


def nothing() -> None:
    """The last step."""


def once_each(outcomes: list[Outcome]) -> bool:
    """One outcome for every frame that was taken, in their order, and none late."""
    seqs = [outcome.seq for outcome in outcomes]
    return len(set(seqs)) == len(seqs) and not any(outcome.late for outcome in outcomes)


def test_a_release_is_tried_put_in_force_and_kept_without_a_frame_lost(workshop: Workshop, second: Path):
    name = workshop.add(second, AT_EXIT_1)
    story = Story(workshop, releases={"agree": 0.3})
    story.when(story.seen(20), workshop.store.promote)
    story.when(story.ended("kept"), nothing)
    outcomes = story.play()
    assert once_each(outcomes)
    assert Counter(one.degraded for one in outcomes) == {"": len(outcomes)}
    exits = [one.exit for one in outcomes]
    assert exits == sorted(exits, reverse=True)  # the whole network by the first, exit 1 by the second; one change
    assert set(exits) == {1, 3}
    headers = [header["bundle"] for header in read_notes(workshop.folder / "decisions.jsonl", "header")]
    assert headers[-1] == bundles.load(second).id
    assert [record.seq for record in read_log(workshop.folder / "decisions.jsonl")] == [one.seq for one in outcomes]
    metrics = exposition(story.app.metrics.registry).decode()
    assert 'offramp_releases_total{result="kept"} 1.0' in metrics
    assert f'release="{name}"' in metrics


def test_what_is_kept_is_active_in_the_store_and_what_the_next_start_runs(workshop: Workshop, second: Path):
    name = workshop.add(second)
    story = Story(workshop)
    story.when(story.seen(1), workshop.store.promote)
    story.when(lambda: workshop.store.pointer("active") == name, nothing)
    assert once_each(story.play())
    assert workshop.store.pointer("trial") == ""
    again = Story(workshop)
    again.when(again.seen(3), nothing)
    again.play()
    assert again.app.cameras["camera"].artefacts.bundle.id == bundles.load(second).id


def test_a_release_that_answers_differently_never_answers_a_frame(workshop: Workshop, contrary: Path):
    workshop.add(contrary)
    story = Story(workshop)
    story.when(story.seen(5), workshop.store.promote)
    story.when(story.ended("refused"), nothing)
    outcomes = story.play()
    assert once_each(outcomes)
    assert story.app.cameras["camera"].artefacts.bundle.id != bundles.load(contrary).id
    assert "answered as before and in time, expected 80%" in last_refusal(workshop)


def last_refusal(workshop: Workshop) -> str:
    """Why, as the store remembers it; the camera wrote it before it ended, or will when it starts again."""
    entry = workshop.store.history()[-1]
    assert entry.what == "refuse"
    return entry.why


def test_a_release_whose_network_cannot_be_loaded_is_refused(workshop: Workshop, tiny_bundle: Path):
    workshop.add(broken_bundle(tiny_bundle, workshop.folder / "broken"))
    story = Story(workshop)
    story.when(story.seen(5), workshop.store.promote)
    story.when(story.ended("refused"), nothing)
    assert once_each(story.play())
    assert "segment_1.onnx" in last_refusal(workshop) or "onnxruntime" in last_refusal(workshop)


def test_a_release_that_was_damaged_on_its_way_is_refused(workshop: Workshop, second: Path):
    name = workshop.add(second)
    workshop.store.promote()
    with (workshop.store.folder / name / "bundle" / "segments" / "segment_2.onnx").open("ab") as file:
        file.write(b"\0")
    story = Story(workshop)
    story.when(story.ended("refused"), nothing)
    assert once_each(story.play())
    assert "segment_2.onnx: sha256 is" in last_refusal(workshop)


def test_unsigned_releases_are_refused_where_keys_are_configured(workshop: Workshop, second: Path, tiny_bundle: Path):
    pytest.importorskip("cryptography")
    from split_core.signing import make_signing_keys

    public, secret = make_signing_keys(workshop.folder / "keys", "owner")
    trust = {"keys": [public.read_text().strip()], "unsigned": False}
    with pytest.raises(ReleaseError, match="not signed"):
        EdgeApp(parsed(workshop.config(releases=trust), EdgeConfig, "test"))
    signed = workshop.add(tiny_bundle, secret=secret)
    workshop.store.promote("active", signed)
    workshop.add(second)
    story = Story(workshop, releases=trust)
    story.when(story.seen(5), workshop.store.promote)
    story.when(story.ended("refused"), nothing)
    assert once_each(story.play())
    assert "not signed" in last_refusal(workshop)


def test_a_trial_that_is_taken_away_in_its_probation_brings_the_old_release_back(workshop: Workshop, second: Path):
    name = workshop.add(second, AT_EXIT_1)
    story = Story(workshop, releases={"agree": 0.3, "probation_s": 600.0})
    story.when(story.seen(5), workshop.store.promote)
    story.when(lambda: story.outcomes[-1].exit == 1, lambda: workshop.store.refuse(name, "by hand"))
    story.when(story.ended("rolled_back"), nothing)
    outcomes = story.play()
    assert once_each(outcomes)
    assert story.app.cameras["camera"].artefacts.bundle.id != bundles.load(second).id
    assert workshop.store.pointer("active") != name


def test_a_release_whose_engine_fails_when_it_is_in_force_is_rolled_back_within_a_few_frames(
    workshop: Workshop, second: Path
):
    name = workshop.add(second, AT_EXIT_1)
    story = Story(workshop, releases={"agree": 0.3, "probation_s": 600.0})

    def fail() -> None:
        prefix = story.app.cameras["camera"].stream.deployment.prefix
        prefix.segments[0] = Failing(prefix.segments[0], after=0)

    story.when(story.seen(200), workshop.store.promote)  # the more is known of before, the sooner it shows
    story.when(lambda: story.outcomes[-1].exit == 1, fail)
    story.when(story.ended("rolled_back"), nothing)
    outcomes = story.play()
    assert once_each(outcomes)
    failed = [one for one in outcomes if one.degraded == "engine"]
    assert 1 <= len(failed) <= 6
    assert outcomes[-1].exit == 3
    assert "frames ended badly" in last_refusal(workshop)
    assert workshop.store.pointer("active") != name


def test_a_person_may_make_a_release_active_and_roll_it_back_while_the_camera_runs(workshop: Workshop, second: Path):
    name = workshop.add(second, AT_EXIT_1)
    story = Story(workshop)
    story.when(story.seen(5), lambda: workshop.store.promote("active", name))
    story.when(lambda: story.outcomes[-1].exit == 1, workshop.store.rollback)
    story.when(lambda: story.outcomes[-1].exit == 3, nothing)
    assert once_each(story.play())
    assert story.app.releases is not None
    assert story.app.releases.results["ordered"] == 2


def test_what_the_policy_had_learned_comes_back_with_the_release(workshop: Workshop, second: Path):
    grid = WHOLE.model_copy(update={"name": "grid"})
    workshop.store.promote("active", workshop.add(bundles_of(workshop), grid))
    name = workshop.add(second, grid)
    story = Story(workshop, releases={"agree": 0.2, "probation_s": 600.0}, state=str(workshop.folder / "state.json"))
    choices: list[int] = []

    def note() -> None:
        choices.append(story.app.cameras["camera"].stream.rules.policy.state()["choices"])

    first = story.app.cameras["camera"].artefacts.bundle.id

    def runs(bundle_id: str) -> Callable[[], bool]:
        return lambda: story.app.cameras["camera"].artefacts.bundle.id == bundle_id

    story.when(story.seen(40), lambda: (note(), workshop.store.promote("trial", name)))
    story.when(runs(bundles.load(second).id), lambda: (note(), workshop.store.refuse(name, "")))
    story.when(runs(first), note)
    assert once_each(story.play())
    before, fresh, after = choices
    assert before >= 40
    assert fresh <= 2
    assert after >= before


def bundles_of(workshop: Workshop) -> Path:
    """The bundle of the active release."""
    return workshop.store.path("active") / "bundle"


def test_a_release_whose_trials_end_the_process_is_tried_three_times(workshop: Workshop, second: Path):
    name = workshop.add(second)
    workshop.store.promote()
    for _ in range(3):
        workshop.store.begin(name)
    story = Story(workshop)
    story.when(lambda: workshop.store.pointer("trial") == "", nothing)
    assert once_each(story.play())
    assert "begun 3 times and never ended" in last_refusal(workshop)


def test_all_cameras_of_a_device_go_over_at_once(workshop: Workshop, second: Path):
    workshop.add(second, AT_EXIT_1)
    source = workshop.config()["source"]
    streams = {name: {"source": source} for name in ("door", "yard")}
    decisions = str(workshop.folder / "{camera}.jsonl")
    more = {"source": None, "streams": streams, "decisions": decisions}
    story = Story(workshop, releases={"agree": 0.3}, **more)
    story.when(story.seen(5), workshop.store.promote)
    story.when(story.ended("kept"), nothing)
    outcomes = story.play()
    change = next(place for place, one in enumerate(outcomes) if one.exit == 1)
    assert {one.exit for one in outcomes[:change]} == {3}
    assert {one.exit for one in outcomes[change:]} == {1}
    assert not any(one.late for one in outcomes)
    assert {one.camera for one in outcomes[change:]} == {"door", "yard"}


def test_a_full_or_read_only_store_delays_a_trial_and_nothing_else(workshop: Workshop, second: Path, monkeypatch):
    """A lock that cannot be opened stands for it: the tests may run as root, whom no rights stop."""
    name = workshop.add(second)
    workshop.store.promote()
    lock = workshop.store.folder / ".lock"
    lock.unlink()
    lock.mkdir()
    story = Story(workshop)
    story.when(story.seen(150), lambda: (lock.rmdir(),))
    story.when(lambda: workshop.store.pointer("active") == name, nothing)
    assert once_each(story.play())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bundle": "b"}, "or releases; got bundle"),
        ({"releases": {"store": "x"}}, "give keys"),
        ({"releases": {"store": "x", "keys": ["a"], "unsigned": True}}, "give keys"),
        ({"releases": None}, "give bundle, policy and profile, or releases; got none"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_in_one_line(workshop: Workshop, changes: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        parsed({**workshop.config(), **changes}, EdgeConfig, "test")


def test_a_new_device_brings_its_first_release_and_follows_what_is_active_there(workshop: Workshop, second: Path):
    server = FolderServer(workshop.store.folder)
    device = ReleaseStore(workshop.folder / "device")
    name = workshop.add(second, AT_EXIT_1)
    pull = {"store": str(device.folder), "url": server.url, "every_s": 0.2, "agree": 0.3}
    try:
        story = Story(workshop, releases=pull)
        assert device.pointer("active") == workshop.store.pointer("active")
        story.when(story.seen(5), lambda: cut_off(server, name, lambda: workshop.store.promote("active", name)))
        story.when(lambda: device.pointer("active") == name, nothing)
        outcomes = story.play()
    finally:
        server.close()
    assert once_each(outcomes)
    assert outcomes[-1].exit == 1
    assert story.app.releases is not None
    assert story.app.releases.results["kept"] == 1


def cut_off(server: FolderServer, name: str, do: Callable[[], Any]) -> None:
    """The first transfer of a file dies in the middle."""
    server.cut_at[f"{name}/bundle/segments/segment_1.onnx"] = 64
    do()


def test_a_new_device_whose_server_is_away_does_not_start(workshop: Workshop):
    nowhere = {"store": str(workshop.folder / "device"), "url": "http://127.0.0.1:9"}
    with pytest.raises(ReleaseError, match="cannot be reached"):
        EdgeApp(parsed(workshop.config(releases=nowhere), EdgeConfig, "test"))


def test_settings_that_are_read_again_hold_for_the_release_that_came_meanwhile(workshop: Workshop, second: Path):
    workshop.add(second, AT_EXIT_1)
    story = Story(workshop, releases={"agree": 0.3})
    reloader = story.app._reloader
    reloader.read = lambda: parsed(workshop.config(deadline_ms=1234.0), EdgeConfig, "test")

    def deadline_ms() -> float:
        return story.app.cameras["camera"].artefacts.config.deadline_ms

    story.when(story.seen(5), workshop.store.promote)
    story.when(story.ended("kept"), reloader.ask)
    story.when(lambda: deadline_ms() == 1234.0, nothing)
    outcomes = story.play()
    assert once_each(outcomes)
    assert outcomes[-1].exit == 1
    assert story.app.cameras["camera"].artefacts.bundle.id == bundles.load(second).id


@pytest.mark.parametrize(("agree", "result", "leaves"), [(0.3, "kept", 0), (0.99, "refused", 1)])
def test_a_network_that_is_not_needed_any_more_is_freed(
    workshop: Workshop, second: Path, monkeypatch: pytest.MonkeyPatch, agree: float, result: str, leaves: int
):
    """The old one after the probation, or the new one when it was refused."""
    monkeypatch.setattr(release_watch, "RETIRED_S", 0.1)
    workshop.add(second, AT_EXIT_1)
    story = Story(workshop, releases={"agree": agree})
    networks = [weakref.ref(story.app.cameras["camera"].stream.deployment.prefix)]

    def lineup() -> Lineup | None:
        assert story.app.releases is not None
        return story.app.releases._lineup

    story.when(story.seen(5), workshop.store.promote)
    story.when(lambda: bool(lineup()), lambda: networks.append(weakref.ref(lineup().first.deployment.prefix)))
    story.when(story.ended(result), nothing)
    story.when(lambda: networks[leaves]() is None, nothing)
    assert once_each(story.play())
    assert networks[1 - leaves]() is not None


def test_threads_of_a_camera_end_with_it(workshop: Workshop):
    story = Story(workshop)
    story.when(story.seen(3), nothing)
    story.play()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("release-")]
    shutil.rmtree(workshop.store.folder)
