"""Losses worked out by hand: two classes, logits that are logarithms of small numbers."""

from __future__ import annotations

from math import log

import pytest

pytest.importorskip("torch")

import torch

from partitioner.train.targets import TARGETS
from partitioner.train.targets.base import Softness, Target

EXIT = torch.tensor([[log(3.0), 0.0]], dtype=torch.float64)  # softmax 3/4, 1/4
FINAL = torch.tensor([[log(9.0), 0.0]], dtype=torch.float64)  # softmax 9/10, 1/10
LABEL = torch.tensor([1])


def loss(name: str, **softness: float) -> float:
    target: Target = TARGETS.load(name)(Softness(**softness))
    return float(target.loss(EXIT, FINAL, LABEL))


def test_labels_is_the_cross_entropy_of_the_label() -> None:
    assert loss("labels") == pytest.approx(-log(1 / 4))


def test_selfxit_is_the_cross_entropy_of_the_final_exits_distribution() -> None:
    assert loss("selfxit") == pytest.approx(-(0.9 * log(3 / 4) + 0.1 * log(1 / 4)))


def test_fastbert_is_the_divergence_of_the_exit_from_the_final_one() -> None:
    assert loss("fastbert") == pytest.approx(0.75 * log(0.75 / 0.9) + 0.25 * log(0.25 / 0.1))


def test_distilled_mixes_the_label_with_softened_answers() -> None:
    # At temperature 2 logits halve: odds sqrt(3) and 3, so softmax sqrt(3)/(1+sqrt(3)) and 3/4.
    p = 3**0.5 / (1 + 3**0.5)
    divergence = 0.75 * log(0.75 / p) + 0.25 * log(0.25 / (1 - p))
    assert loss("distilled", temperature=2.0, mix=0.25) == pytest.approx(0.75 * -log(1 / 4) + 0.25 * 4 * divergence)


@pytest.mark.parametrize("name", TARGETS)
def test_every_loss_is_a_mean_over_samples_and_smaller_for_a_better_exit(name: str) -> None:
    target: Target = TARGETS.load(name)(Softness())
    final, labels = torch.tensor([[4.0, 0.0, -1.0], [0.0, 3.0, 0.0]]), torch.tensor([0, 1])
    near, far = target.loss(final * 0.9, final, labels), target.loss(-final, final, labels)
    assert float(near) < float(far)
    twice = target.loss(torch.cat([-final, -final]), torch.cat([final, final]), torch.cat([labels, labels]))
    assert float(twice) == pytest.approx(float(far), rel=1e-6)


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"temperature": float("nan")}, {"mix": 1.5}])
def test_softness_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="temperature must be above 0"):
        Softness(**wrong)
