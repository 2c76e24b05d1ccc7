from __future__ import annotations

import numpy as np
import pytest

from bandits.link_estimate import LINK_DECAY, LinkModel


def measured(link: LinkModel, base_ms: float, ms_per_kb: float, offloads: int, seed: int = 0) -> None:
    """Offloads of many sizes over a link whose delays have a long tail."""
    rng = np.random.default_rng(seed)
    for _ in range(offloads):
        size = int(rng.integers(200, 5000))
        link.observe(size, base_ms + ms_per_kb * size / 1e3 + rng.exponential(2.0))


def test_a_link_that_gets_slower_is_known_after_three_dozen_offloads() -> None:
    link = LinkModel(10.0, 1.0)
    measured(link, 10.0, 1.0, 300)
    measured(link, 60.0, 8.0, 36, seed=1)
    assert link.changes == 1
    assert link.ms(1000) == pytest.approx(60.0 + 8.0 + 2.0, rel=0.1)
    forgetting_alone = LINK_DECAY**36 * 13.0 + (1 - LINK_DECAY**36) * 70.0
    assert forgetting_alone < 45.0


def test_a_link_that_gets_faster_is_known_as_soon() -> None:
    link = LinkModel(10.0, 1.0)
    measured(link, 60.0, 8.0, 300)
    measured(link, 10.0, 1.0, 40, seed=1)
    forgetting_alone = LINK_DECAY**40 * 70.0 + (1 - LINK_DECAY**40) * 13.0
    assert link.ms(1000) < 22.0 < 35.0 < forgetting_alone


def test_one_change_after_the_other_is_found() -> None:
    link = LinkModel(10.0, 1.0)
    for turn, base_ms in enumerate((10.0, 80.0, 20.0, 120.0)):
        measured(link, base_ms, 1.0, 150, seed=turn)
        assert link.ms(1000) == pytest.approx(base_ms + 3.0, rel=0.1)
    assert link.changes == 3


def test_a_link_that_stays_is_seldom_taken_for_another_whatever_its_noise() -> None:
    changes = 0
    for seed in range(30):
        link = LinkModel(10.0, 1.0)
        measured(link, 20.0, 2.0, 1000, seed=seed)
        changes += link.changes
    assert changes <= 2


def test_payloads_of_other_sizes_are_no_change_of_the_link() -> None:
    link, rng = LinkModel(10.0, 2.0), np.random.default_rng(0)
    for size in [1000] * 200 + [4000] * 200:
        link.observe(size, 10.0 + 2.0 * size / 1e3 + rng.normal(0, 0.5))
    assert link.changes == 0


def test_silence_brings_back_what_was_believed_first() -> None:
    link = LinkModel(10.0, 1.0)
    measured(link, 200.0, 1.0, 100)
    before = link.ms(1000)
    link.fade(0.5)
    assert link.ms(1000) < before
    for _ in range(10):
        link.fade(0.5)
    assert link.ms(1000) == pytest.approx(11.0, rel=0.25)
    measured(link, 200.0, 1.0, 5)  # and one look is enough to know that it is still slow
    assert link.ms(1000) > 120.0
