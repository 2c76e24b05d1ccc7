from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.sources.backoff import LONGEST_S, Backoff
from edge_runtime.sources.gate import STILL_S, Motion, Rate


@pytest.mark.parametrize(("camera_fps", "fps"), [(30.0, 10.0), (30.0, 29.0), (25.0, 4.0), (10.0, 30.0), (30.0, 30.0)])
def test_frames_pass_as_often_as_was_asked_and_never_in_bunches(camera_fps: float, fps: float) -> None:
    rng, rate = np.random.default_rng(0), Rate(fps)
    moments = [n / camera_fps + rng.uniform(-0.002, 0.002) for n in range(round(20 * camera_fps))]
    passed = [now for now in moments if rate.passes(now)]
    assert len(passed) == pytest.approx(20 * min(fps, camera_fps), rel=0.05)
    assert min(later - before for before, later in pairwise(passed)) > 0.3 / fps


@given(st.lists(st.floats(min_value=0.0, max_value=100.0), max_size=300), st.floats(min_value=0.5, max_value=50.0))
def test_in_no_second_many_more_pass_than_was_asked(moments: list[float], fps: float) -> None:
    rate = Rate(fps)
    passed = [now for now in sorted(moments) if rate.passes(now)]
    for begin in passed:
        assert sum(begin <= now < begin + 1.0 for now in passed) <= 2.0 * fps + 1.0


def test_without_a_limit_all_pass_and_one_may_be_set_later() -> None:
    rate = Rate(0.0)
    assert all(rate.passes(0.0) for _ in range(100))
    rate.fps = 1.0
    assert [rate.passes(now) for now in (0.0, 0.1, 0.2)] == [True, False, False]


def scene(brightness: int = 100, square: int | None = None, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A grey picture with noise, and perhaps a white square at a column."""
    picture = np.random.default_rng(seed).normal(brightness, noise, (120, 160, 3))
    if square is not None:
        picture[40:80, square : square + 40] = 255
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_a_still_scene_passes_once_and_then_now_and_then() -> None:
    motion = Motion(0.02)
    passed = [now for now in np.arange(0.0, 25.0, 0.1) if motion.passes(scene(noise=3.0, seed=int(now * 10)), now)]
    assert [round(float(now)) for now in passed] == [0, round(STILL_S), round(2 * STILL_S)]


def test_something_that_moves_passes_also_when_it_moves_slowly() -> None:
    motion = Motion(0.05)
    passed = [motion.passes(scene(square=step), 0.1 * step) for step in range(60)]
    assert passed[0]
    assert 3 <= sum(passed) <= 20
    quick = Motion(0.05)
    assert all(quick.passes(scene(square=place), 0.1 * n) for n, place in enumerate((0, 40, 80, 40)))


def test_another_size_passes_and_a_text_always_does() -> None:
    motion = Motion(1.0)
    assert motion.passes(scene(), 0.0)
    assert not motion.passes(scene(), 0.1)
    assert motion.passes(scene()[:60], 0.2)
    assert all(motion.passes("the same words", 0.0) for _ in range(3))


def test_waiting_times_grow_have_jitter_and_begin_again_when_it_works() -> None:
    backoff = Backoff(np.random.default_rng(0))
    waits = [backoff.next_s() for _ in range(12)]
    assert 0.25 <= waits[0] <= 0.5
    assert all(0.5 * LONGEST_S <= wait <= LONGEST_S for wait in waits[7:])
    assert len(set(waits)) == 12
    backoff.healthy()
    assert backoff.next_s() <= 0.5
