from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import artefacts
from edge_runtime.artefacts import Artefacts
from edge_runtime.config import EdgeConfig
from edge_runtime.following.policy_watch import Follower
from edge_runtime.frames.ticket import Rules
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.config import parsed
from split_core.drift.histogram import histogram
from split_core.drift.monitor import DriftMonitor
from split_core.errors import ConfigError, PolicyFileError
from split_core.policy import BanditSection, ExitSection, PolicyFile
from split_core.policy_store import PolicyStore
from tests.edge_runtime.world import World, profile


@dataclass
class Camera:
    """A store beside a bundle and a profile, and a camera's files loaded from them."""

    folder: Path
    bundle: Path
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = PolicyStore(self.folder / "store")
        bundle_id = bundles.load(self.bundle).id
        self.policy = PolicyFile(bundle_id=bundle_id, exits=(ExitSection(),) * 3)
        profiles.save(profile(3, bundle_id), self.folder / "profile.yaml")

    def add(self, **changes: object) -> str:
        """A version with these values, as the candidate."""
        version = len(self.store.versions()) + 1
        given = {"version": version, "bundle_id": self.policy.bundle_id, "exits": self.policy.exits, **changes}
        policies.save(PolicyFile.model_validate(given), self.folder / "new.yaml")
        return self.store.add(self.folder / "new.yaml")

    def activate(self, **changes: object) -> str:
        name = self.add(**changes)
        self.store.promote("active", name)
        return name

    def load(self, **changes: object) -> Artefacts:
        files = {
            "bundle": str(self.bundle),
            "policy": str(self.store.folder),
            "profile": str(self.folder / "profile.yaml"),
        }
        return artefacts.load(parsed({**files, "source": {"kind": "array"}, **changes}, EdgeConfig, "test"))

    def follow(self, **changes: object) -> Follower:
        return Follower(self.load(**changes), self.said.append)


@pytest.fixture
def camera(tiny_bundle: Path, tmp_path: Path) -> Camera:
    return Camera(tmp_path, tiny_bundle)


def test_a_store_without_an_active_policy_starts_nothing(camera: Camera):
    camera.add()
    with pytest.raises(PolicyFileError, match="no active policy"):
        camera.load()


def test_promote_and_rollback_are_followed_once_each(camera: Camera):
    first = camera.activate()
    follower = camera.follow()
    assert follower.look() == []
    camera.add(ship="hidden")
    assert follower.look() == []  # a candidate is nobody's business
    camera.store.promote("active")
    (change,) = follower.look()
    assert change.state == "active"
    assert change.artefacts is not None
    assert change.artefacts.policy_file.ship == "hidden"
    assert follower.look() == []
    camera.store.rollback()
    (back,) = follower.look()
    assert back.artefacts is not None
    assert back.artefacts.policy_file == camera.store.load(first)
    assert camera.said == []


def test_a_broken_policy_is_refused_once_and_taken_when_it_is_whole(camera: Camera):
    camera.activate()
    follower = camera.follow()
    second = camera.activate(ship="hidden")
    whole = (camera.store.folder / second).read_bytes()
    (camera.store.folder / second).write_bytes(whole[:100])
    assert (follower.look(), follower.look()) == ([], [])
    assert len(camera.said) == 1
    (camera.store.folder / second).write_bytes(whole)
    assert len(follower.look()) == 1


def test_a_policy_of_another_bundle_is_refused_while_running(camera: Camera):
    camera.activate()
    follower = camera.follow()
    camera.store.promote("active", camera.add(bundle_id="b" * 64), bundle_id="b" * 64)
    assert follower.look() == []
    assert "made for bundle bbbbbbbbbbbb" in camera.said[0]


def test_an_unknown_bandit_is_refused_while_running(camera: Camera):
    camera.activate()
    follower = camera.follow()
    camera.activate(bandit=BanditSection(name="gird"))
    assert follower.look() == []
    assert "did you mean 'grid'" in camera.said[0]


def test_a_policy_that_does_not_fit_the_network_is_refused_while_running(camera: Camera):
    camera.activate()
    follower = Follower(camera.load(), camera.said.append, misfit)
    camera.activate(ship="hidden")
    assert (follower.look(), follower.look()) == ([], [])
    [line] = camera.said
    assert line.endswith("hidden states are 3 wide, the arrays are for 77")
    assert "0002-" in line


def misfit(rules: Rules) -> None:
    raise ConfigError("hidden states are 3 wide, the arrays are for 77")


def test_an_unsigned_policy_is_refused_while_running_where_keys_are_configured(camera: Camera):
    pytest.importorskip("cryptography")
    from split_core.signing import make_signing_keys, sign

    public, secret = make_signing_keys(camera.folder / "keys", "owner")
    keys = [public.read_text().strip()]
    policies.save(camera.policy, camera.folder / "signed.yaml", sign(camera.policy.id, secret))
    camera.store.add(camera.folder / "signed.yaml")
    camera.store.promote("active")
    follower = camera.follow(policy_keys=keys)
    camera.activate(ship="hidden")
    assert follower.look() == []
    assert "not signed" in camera.said[0]
    with pytest.raises(PolicyFileError, match="not signed"):
        camera.load(policy_keys=keys)


def test_what_a_bandit_learned_is_kept_only_where_it_still_holds(camera: Camera):
    camera.activate()
    before = camera.load()
    camera.activate()
    assert camera.load().teaches_like(before)
    camera.activate(exits=(ExitSection(temperature=2.0),) * 3)
    assert not camera.load().teaches_like(before)


def test_drift_marks_outcomes_and_a_new_policy_begins_anew(tiny_bundle: Path):
    world = World(tiny_bundle, "edge_only")
    sure = histogram(np.full(1000, 0.999))
    world.stream.rules = replace(world.stream.rules, monitor=DriftMonitor((sure,) * 3, window=100))
    world.camera([0.03 * n for n in range(1, 151)])
    world.play(5.0)
    flags = [outcome.drifted for outcome in world.outcomes]
    assert len(flags) == 150
    assert flags == sorted(flags)  # once void, void
    assert not any(flags[:5])
    assert flags[-1]
    world.stream.rules = replace(world.stream.rules, monitor=DriftMonitor(()))
    world.camera([0.03, 0.06])
    world.play(0.5)
    assert [outcome.drifted for outcome in world.outcomes[150:]] == [False, False]


def test_a_film_may_be_watched_every_tenth_frame(tiny_bundle: Path):
    counted = []
    for every in (1, 10):
        world = World(tiny_bundle, "edge_only")
        monitor = DriftMonitor((histogram(np.linspace(0.0, 1.0, 1000)),) * 3, every=every)
        world.stream.rules = replace(world.stream.rules, monitor=monitor)
        world.camera([0.03 * n for n in range(1, 41)])
        world.play(5.0)
        counted.append(sum(saved["frames"] for saved in monitor.saved().values()))
    assert counted == [40, 4]


def test_all_that_an_arm_reads_whatever_the_frame_looks_like_is_compared(tiny_bundle: Path):
    world = World(tiny_bundle, "grid", params={"splits": [2, 3], "side_every": 1})
    monitor = DriftMonitor((histogram(np.linspace(0.0, 1.0, 1000)),) * 3)
    world.stream.rules = replace(world.stream.rules, monitor=monitor)
    world.camera([0.03 * n for n in range(1, 21)])
    world.play(5.0)
    readings = [len(record.exits) for record in world.records]
    compared = {name: saved["frames"] for name, saved in monitor.saved().items()}
    assert compared["1"] == compared["2"] == 20
    assert 0 < compared["3"] == sum(count == 3 for count in readings)


def test_inputs_are_compared_unless_the_camera_says_no(camera: Camera):
    light = histogram(np.linspace(0.0, 255.0, 1000))
    camera.activate(evidence={"input_histograms": {"brightness": light}})
    assert camera.load().rules().monitor.sees_inputs
    assert not camera.load(drift_inputs=False).rules().monitor.sees_inputs


def test_later_exits_are_watched_only_behind_thresholds_that_nothing_else_moves(camera: Camera):
    sure = histogram(np.full(1000, 0.999))
    evidence = {"confidence_histograms": (sure,) * 3, "reached_histograms": (sure,)}
    cascade = BanditSection(name="cascade", params={"per_exit": [0.9, 0.9]})
    camera.activate(evidence=evidence, bandit=cascade)
    assert camera.load().rules().monitor.sees_on
    assert not camera.load(bandit={"name": "edge_only"}).rules().monitor.sees_on
    camera.activate(evidence=evidence, bandit=cascade, guard={"never_early": [1]})
    assert not camera.load().rules().monitor.sees_on
    camera.activate(evidence=evidence)
    assert not camera.load().rules().monitor.sees_on


def test_readings_behind_the_first_exit_reach_the_monitor_in_order(tiny_bundle: Path):
    world = World(tiny_bundle, "cascade", params={"per_exit": [None, None]})
    unlike = histogram(np.linspace(0.0, 0.1, 1000))
    monitor = DriftMonitor((), window=100, reached=(unlike, unlike))
    world.stream.rules = replace(world.stream.rules, monitor=monitor)
    world.camera([0.03 * n for n in range(1, 121)])
    world.play(5.0)
    assert {(one.detector, one.exit) for one in monitor.findings() if one.drift.fired} >= {
        ("reached_psi", 2),
        ("reached_psi", 3),
    }


@pytest.mark.parametrize(
    ("changes", "every"),
    [
        ({"source": {"kind": "array"}}, 1),
        ({"source": {"kind": "camera", "fps": 10}}, 300),
        ({"source": {"kind": "video"}}, 750),
        ({"source": {"kind": "video"}, "drift_every": 7}, 7),
    ],
)
def test_of_a_film_one_frame_in_half_a_minute_is_compared(camera: Camera, changes: dict[str, object], every: int):
    camera.activate()
    monitor = camera.load(**changes).rules().monitor
    due = [monitor.due() for _ in range(2 * every)]
    assert [frame for frame, look in enumerate(due, 1) if look] == [every, 2 * every]
