"""One network is asked about the frames of another, in idle moments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import artefacts
from edge_runtime.config import EdgeConfig
from edge_runtime.releases.comparison import Comparison
from edge_runtime.releases.lineup import Place
from split_core.config import parsed
from tests.edge_runtime.world import World
from tests.release_world import WHOLE, Failing, Workshop, another_bundle
from tests.tiny import LABELS


class Site:
    """A world that answers all frames here, and a network beside it."""

    def __init__(self, folder: Path, answering: Path, asked: Path, **more: Any) -> None:
        self.world = World(answering, policy="edge_only")
        held = Workshop(folder).held(asked, WHOLE)
        settings = {"deadline_ms": 1000.0, "margin_ms": 100.0, "source": {"kind": "array"}, **more}
        files = {"bundle": str(held.bundle), "policy": str(held.policy), "profile": str(held.profile)}
        loaded = artefacts.load(parsed({**files, **settings}, EdgeConfig, "test"))
        self.place = Place(loaded, loaded.rules(), loaded.deployment(), loaded.rules())
        self.said: list[tuple[bool, str]] = []
        self.errors: list[str] = []
        self.comparison = Comparison(
            {"camera-0": self.place},
            self.world.deployment.prefix,
            on_compared=lambda good, how: self.said.append((good, how)),
            on_error=self.errors.append,
        )
        self.world.loop.on_ended, self.world.loop.on_idle = self.comparison.put, self.comparison.idle

    def play(self, frames: int = 20) -> Site:
        self.world.camera([0.06 * n for n in range(frames)])
        self.world.play(0.06 * frames + 0.3)
        assert len(self.world.outcomes) == frames
        return self


def test_a_network_that_is_the_same_agrees_on_every_frame(tiny_bundle: Path, tmp_path: Path):
    site = Site(tmp_path, tiny_bundle, tiny_bundle).play()
    assert len(site.said) == 20
    assert {good for good, _ in site.said} == {True}
    assert site.errors == []


def test_classes_are_compared_by_their_names(tiny_bundle: Path, tiny_model_path: Path, tmp_path: Path):
    other = another_bundle(tiny_model_path, tmp_path / "other", "3", labels=LABELS[::-1])
    site = Site(tmp_path, tiny_bundle, other).play()
    assert {good for good, _ in site.said} == {False}
    said, was = site.said[0][1].replace("'", "").split(" where it was ")
    assert LABELS.index(said) == 3 - LABELS.index(was)


def test_an_answer_that_takes_longer_than_a_frame_has_is_not_good(tiny_bundle: Path, tmp_path: Path):
    site = Site(tmp_path, tiny_bundle, tiny_bundle, deadline_ms=100.01, margin_ms=100.0).play(5)
    assert {good for good, _ in site.said} == {False}
    assert "ms for an answer, 0.01 are allowed" in site.said[0][1]


@pytest.mark.parametrize(("nonsense", "words"), [(False, "lost its engine"), (True, "no numbers")])
def test_a_network_that_fails_on_a_frame_says_so_and_the_frames_go_on(
    tiny_bundle: Path, tmp_path: Path, nonsense: bool, words: str
):
    site = Site(tmp_path, tiny_bundle, tiny_bundle)
    prefix = site.place.deployment.prefix
    prefix.segments[2] = Failing(prefix.segments[2], after=3, nonsense=nonsense)
    site.play()
    assert len(site.said) == 3
    assert len(site.errors) == 17
    assert words in site.errors[0]
    assert {one.degraded for one in site.world.outcomes} == {""}


def test_a_device_that_never_rests_is_not_asked_and_no_frame_waits(tiny_bundle: Path, tmp_path: Path):
    site = Site(tmp_path, tiny_bundle, tiny_bundle)
    site.world.camera([0.001 * n for n in range(300)])
    site.world.play(0.29)
    assert site.said == []
    site.world.play(0.5)
    assert len(site.said) == 1  # the newest one, when there was time


def test_frames_that_another_network_has_answered_and_degraded_ones_are_no_measure(tiny_bundle: Path, tmp_path: Path):
    site = Site(tmp_path, tiny_bundle, tiny_bundle)
    site.world.stream.deployment = replace(site.world.deployment, prefix=site.place.deployment.prefix)
    site.play(5)
    assert site.said == []


def test_what_is_asked_learns_the_times_of_its_steps_before_it_answers_anything(tiny_bundle: Path, tmp_path: Path):
    site = Site(tmp_path, tiny_bundle, tiny_bundle)
    believed_ms = site.place.deployment.costs.segment_ms(1, 3)
    site.play(60)
    assert site.place.deployment.costs.segment_ms(1, 3) < believed_ms
