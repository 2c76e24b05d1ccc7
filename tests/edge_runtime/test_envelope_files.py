from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bandits.envelope import Crossing, Envelope
from bandits.guard import Guard
from edge_runtime.following.keeping import Keeping, promise
from edge_runtime.following.proposal import Proposals, proposed
from split_core import policy as policies
from split_core.drift.monitor import Finding
from split_core.errors import ConfigError, PolicyFileError
from split_core.evidence import Evidence, PromiseSection
from split_core.policy import BanditSection, ExitSection, PolicyFile
from split_core.policy_commands import change
from split_core.policy_guard import EnvelopeSection, SegmentsSection
from split_core.readings import Reading
from split_core.telemetry.metrics import EdgeMetrics, exposition
from tests.edge_runtime.test_audit import every, listening
from tests.edge_runtime.test_policy_watch import Camera
from tests.edge_runtime.test_policy_watch import camera as camera  # a fixture

EXITS = (ExitSection(certified=0.7), ExitSection(certified=None), ExitSection())
CERTIFIED: dict[str, Any] = {"exits": EXITS, "evidence": Evidence(target=0.98)}
ENVELOPE = EnvelopeSection(share=0.05)
PROMISE = PromiseSection(kind="risk", asked=0.02, method="ltt", samples=100)
CROSSING = Crossing("shrunk", 64, 0.8, 5.0, 4.6, (0.9, math.inf), (0.9, math.inf))


def test_the_envelope_of_a_file_bounds_its_bandit_by_the_certified_thresholds_and_sets_the_share(camera: Camera):
    camera.activate(**CERTIFIED, envelope=ENVELOPE)
    rules = camera.load(audit={"share": 0.5}).rules()
    assert isinstance(rules.policy, Envelope)
    assert rules.policy.floors == (0.7, math.inf)
    assert (rules.policy.pledge.target, rules.policy.pledge.share, rules.audit) == (0.98, 0.05, 0.05)


def test_without_an_envelope_the_camera_says_how_much_is_audited(camera: Camera):
    camera.activate(**CERTIFIED)
    rules = camera.load(audit={"share": 0.5}).rules()
    assert not isinstance(rules.policy, Guard)
    assert rules.audit == 0.5
    assert promise(rules) is None


def test_the_guard_of_the_file_holds_within_the_envelope(camera: Camera):
    camera.activate(**CERTIFIED, envelope=ENVELOPE, guard={"never_early": [2]})
    policy = camera.load().policy()
    assert isinstance(policy, Envelope)
    assert policy.limits.never_early == {2}


def test_thresholds_of_a_cascade_are_what_was_certified_and_its_target_must_be_said(camera: Camera):
    cascade = BanditSection(name="cascade", params={"per_exit": [0.9, 0.8]})
    camera.activate(bandit=cascade, envelope=EnvelopeSection(share=0.05, target=0.97))
    policy = camera.load().policy()
    assert isinstance(policy, Envelope)
    assert policy.floors == (0.0, 0.0)
    camera.activate(bandit=cascade, envelope=ENVELOPE)
    with pytest.raises(PolicyFileError, match="expected a target"):
        camera.load().policy()


@pytest.mark.parametrize(("evidence", "said"), [(Evidence(), "nothing"), (Evidence(target=0.9), "agreement of 0.9")])
def test_a_promise_beyond_the_certificate_is_refused_in_one_line(camera: Camera, evidence: Evidence, said: str):
    camera.activate(exits=EXITS, evidence=evidence, envelope=EnvelopeSection(share=0.05, target=0.99))
    with pytest.raises(PolicyFileError, match=said):
        camera.load().policy()


def test_a_fallback_is_a_cascade(camera: Camera):
    fallback = EnvelopeSection(share=0.05, fallback=(0.99, None))
    camera.activate(**CERTIFIED, envelope=fallback)
    policy = camera.load().policy()
    assert isinstance(policy, Envelope)
    assert policy._fallback is not None
    assert policy._fallback.state()["per_exit"] == [0.99, None, 0.0]


def test_what_was_learned_under_another_envelope_does_not_hold(camera: Camera):
    camera.activate(**CERTIFIED)
    plain = camera.load()
    camera.activate(**CERTIFIED, envelope=ENVELOPE)
    assert not camera.load().teaches_like(plain)
    assert camera.load().teaches_like(camera.load())


def test_a_file_without_an_envelope_has_the_id_it_had_and_one_with_it_another(camera: Camera, tmp_path: Path):
    plain = camera.policy
    enveloped = plain.model_copy(update={"envelope": ENVELOPE})
    assert "envelope" not in plain.model_dump()
    assert plain.id != enveloped.id
    policies.save(enveloped, tmp_path / "e.yaml")
    assert policies.load(tmp_path / "e.yaml") == enveloped


def test_a_file_gets_an_envelope_by_setting_one_value(camera: Camera):
    made = change(camera.policy, ["envelope.share=0.02", "envelope.fallback=[0.99, null]"])
    assert made.envelope == EnvelopeSection(share=0.02, fallback=(0.99, None))
    with pytest.raises(ConfigError, match=r"envelope\.share"):
        change(camera.policy, ["envelope.target=0.98"])


def test_a_proposal_has_no_threshold_below_the_floors_and_no_promise_that_was_broken():
    file = PolicyFile(bundle_id="a" * 64, **{**CERTIFIED, "evidence": Evidence(target=0.98, promises=(PROMISE,))})
    new = proposed(file, (0.9, 0.6), 7)
    assert [one.certified for one in new.exits] == [0.9, None, None]
    assert (new.version, new.evidence.promises, new.evidence.target) == (7, (), 0.98)
    assert proposed(file, (0.5, math.inf), 7).exits[0].certified == 0.7


def test_a_proposed_cascade_has_raised_thresholds_for_classes_and_segments_too():
    params = {"per_exit": [0.8, 0.95], "by_class": {"1": {"4": 0.7, "5": None}}, "ship_after": 2}
    segments = SegmentsSection(column="site", params={"north": {"per_exit": 0.5}})
    bandit = BanditSection(name="cascade", params=params)
    new = proposed(PolicyFile(bundle_id="a" * 64, exits=EXITS, bandit=bandit, segments=segments), (0.9, 0.9), 2)
    assert new.bandit.params == {"per_exit": [0.9, 0.95], "by_class": {"1": {"4": 0.9, "5": None}}, "ship_after": 2}
    assert new.segments is not None
    assert new.segments.params == {"north": {"per_exit": [0.9, 0.9]}}


def propose(camera: Camera, *crossings: Crossing) -> list[str]:
    said: list[str] = []
    proposals = Proposals(said.append)
    for crossing in crossings:
        proposals.put(camera.load(), crossing)
    proposals.close()
    return said


def test_a_proposal_is_the_candidate_and_the_next_one_takes_its_place(camera: Camera):
    camera.activate(**CERTIFIED, envelope=ENVELOPE)
    said = propose(camera, CROSSING, CROSSING)
    assert len(said) == 2
    assert camera.store.pointer("candidate") == camera.store.versions()[-1]
    assert [name[:4] for name in camera.store.versions()] == ["0001", "0002", "0003"]
    assert camera.store.load(camera.store.pointer("candidate")).exits[0].certified == 0.9
    assert camera.store.pointer("active").startswith("0001")


def test_somebodys_candidate_is_left_where_it_is(camera: Camera):
    camera.activate(**CERTIFIED, envelope=ENVELOPE)
    waiting = camera.add(ship="hidden")
    (said,) = propose(camera, CROSSING)
    assert camera.store.pointer("candidate") == waiting
    assert policies.load(camera.store.folder / "proposed.yaml").exits[0].certified == 0.9
    assert "proposed.yaml" in said


def test_a_proposal_that_cannot_be_written_is_told_and_breaks_nothing(camera: Camera):
    camera.activate(**CERTIFIED, envelope=ENVELOPE)
    (camera.store.folder / "proposed.yaml").mkdir()
    (said,) = propose(camera, CROSSING)
    assert said.startswith("a new policy could not be proposed")


def test_a_broken_promise_marks_outcomes_and_is_told_once(camera: Camera, tiny_bundle: Path):
    camera.activate(exits=(ExitSection(certified=0.0),) * 3, evidence=Evidence(target=0.98), envelope=ENVELOPE)
    fixed = {"name": "fixed", "params": {"split": 1, "threshold": 0.0}}
    world, _ = listening(tiny_bundle)
    rules = camera.load(bandit=fixed).rules()
    world.stream.rules = rules
    findings: list[Finding] = []
    notes: list[dict[str, Any]] = []
    crossings: list[Crossing] = []
    keeping = Keeping(findings.append, notes.append, crossings.append)
    world.auditor._on_audit = lambda record, ticket: keeping.look(ticket.rules)
    world.auditor._rng = AlwaysDrawn()  # type: ignore[assignment]
    world.camera(every(0.03, 40))
    world.play(2.0)
    drifted = [outcome.drifted for outcome in world.outcomes]
    assert drifted == sorted(drifted)
    assert (drifted[0], drifted[-1]) == (False, True)
    (finding,) = findings
    assert rules.monitor.cause == finding
    assert (finding.detector, finding.drift.fired) == ("agreement", True)
    assert (notes[0]["stage"], notes[0]["floors"][0]) == ("shrunk", None)
    assert len(crossings) == len(notes) == 1
    shown = promise(rules)
    assert shown is not None
    metrics = EdgeMetrics()
    metrics.watch_promise("door", lambda: shown)
    text = exposition(metrics.registry).decode()
    assert 'offramp_agreement{bound="target",camera="door"} 0.98' in text
    assert 'offramp_envelope_stage{camera="door"} 1.0' in text


class AlwaysDrawn:
    """Draws every frame, whatever the share."""

    def random(self) -> float:
        return 0.0


def test_uncertified_is_a_mark_of_the_guard(camera: Camera):
    camera.activate(**CERTIFIED, envelope=ENVELOPE)
    policy = camera.load().policy()
    assert isinstance(policy, Envelope)
    assert policy._by_limits(Reading(2, 0, 1.0)) == "uncertified"
    assert policy._by_limits(Reading(3, 0, 0.1)) == ""
