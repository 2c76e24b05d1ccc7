"""The parts of joint training, with numbers worked out by hand."""

from __future__ import annotations

from math import cos, log, pi

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from partitioner.examples import Examples
from partitioner.importers.torch_outputs import Named
from partitioner.train.joint.augment import augmented
from partitioner.train.joint.checkpoint import Reached
from partitioner.train.joint.exits import logits_of, with_exits
from partitioner.train.joint.feed import Feed
from partitioner.train.joint.fitting import Fitting, Lesson, state_of
from partitioner.train.joint.loss import final_only, joint_loss
from partitioner.train.joint.plan import Augmentation, JointPlan
from partitioner.train.joint.rates import rate
from partitioner.train.joint.weightings import WEIGHTINGS
from partitioner.train.joint.weightings.base import Weighting
from partitioner.train.targets import TARGETS
from partitioner.train.targets.base import Softness
from split_core.errors import ConfigError, DataError, ModelError
from tests.partitioner.train.joint_modules import Body, WithItsOwn
from tests.tiny import PREPROCESS, tiny_samples

DEPTHS = (0.2, 0.5, 1.0)


def coefficients(name: str, elapsed: float = 0.0) -> list[float]:
    weighting: Weighting = WEIGHTINGS.load(name)(DEPTHS)
    return [float(one) for one in weighting.coefficients(elapsed).detach()]


def test_uniform_adds_up() -> None:
    assert coefficients("uniform") == [1.0, 1.0, 1.0]


def test_depth_counts_exits_from_one() -> None:
    assert coefficients("depth") == pytest.approx([1 / 6, 2 / 6, 3 / 6])


def test_sdn_lets_exits_in_slowly_up_to_their_depth() -> None:
    assert coefficients("sdn", 0.0) == pytest.approx([0.01, 0.01, 1.0])
    assert coefficients("sdn", 0.5) == pytest.approx([0.01 + 0.1, 0.01 + 0.25, 1.0])
    assert coefficients("sdn", 0.99) == pytest.approx([0.2, 0.5, 1.0])  # 0.208 and 0.505 are cut off


def test_dynexit_starts_even_and_moves_to_the_exit_with_the_least_loss() -> None:
    assert coefficients("dynexit") == pytest.approx([1 / 3] * 3)
    weighting: Weighting = WEIGHTINGS.load("dynexit")(DEPTHS)
    (raw,) = weighting.learned()
    with torch.no_grad():
        raw.copy_(torch.tensor([log(3.0), 0.0, -log(3.0)]))  # logistic: 3/4, 1/2, 1/4
    shares = weighting.coefficients(0.0)
    assert shares.tolist() == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    losses = torch.tensor([1.0, 2.0, 4.0])
    (shares @ losses).backward()
    # d/dw_k = s(1 - s)(L_k - L) / sum: L = 11/6, sum = 3/2.
    mean = 0.5 + 2 / 3 + 4 / 6
    expected = [3 / 16 * (1 - mean) / 1.5, 1 / 4 * (2 - mean) / 1.5, 3 / 16 * (4 - mean) / 1.5]
    assert raw.grad.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("elapsed", [0.0, 0.3, 0.99])
def test_every_weighting_has_one_coefficient_above_zero_per_exit(name: str, elapsed: float) -> None:
    assert len(coefficients(name, elapsed)) == 3
    assert all(one > 0.0 for one in coefficients(name, elapsed))


def test_the_joint_loss_is_the_weighted_sum_and_the_teacher_takes_no_gradient() -> None:
    early = torch.tensor([[log(3.0), 0.0]], requires_grad=True)  # softmax 3/4, 1/4
    final = torch.tensor([[log(9.0), 0.0]], requires_grad=True)  # softmax 9/10, 1/10
    labels, weights = torch.tensor([1]), torch.tensor([0.5, 2.0])
    by_labels = joint_loss([early, final], labels, weights, TARGETS.load("labels")(Softness()))
    assert float(by_labels.detach()) == pytest.approx(0.5 * -log(1 / 4) + 2.0 * -log(1 / 10))
    taught = joint_loss([early, final], labels, weights, TARGETS.load("selfxit")(Softness()))
    assert float(taught.detach()) == pytest.approx(0.5 * -(0.9 * log(3 / 4) + 0.1 * log(1 / 4)) + 2.0 * -log(1 / 10))
    taught.backward()
    assert final.grad.tolist()[0] == pytest.approx([2.0 * 0.9, 2.0 * (0.1 - 1.0)], rel=1e-5)  # of its label alone
    assert early.grad.tolist()[0] == pytest.approx([0.5 * (0.75 - 0.9), 0.5 * (0.25 - 0.1)], rel=1e-5)


def test_alternating_steps_are_the_final_exits_when_odd() -> None:
    assert [final_only("alternating", step) for step in (1, 2, 3, 4)] == [True, False, True, False]
    assert not any(final_only("joint", step) for step in (1, 2, 3, 4))


def test_an_odd_step_moves_no_early_exit_and_an_even_one_does() -> None:
    images, labels = tiny_samples(80)
    feed = Feed(Examples((images,), labels, PREPROCESS), Augmentation(), channels_last=False)
    rows = np.arange(40)
    moved = []
    for steps in (1, 2):
        torch.manual_seed(0)
        module = WithItsOwn()
        before = state_of(module)
        plan = JointPlan(way="alternating", optimiser="sgd", weight_decay=0.0, epochs=1, batch=40 // steps)
        Fitting(Named(module, None), 2, Lesson(feed, rows, rows + 40), plan, Reached()).epoch()
        after = state_of(module)
        moved.append({name for name in after if not np.array_equal(before[name], after[name])})
    assert "exit.1.weight" not in moved[0]
    assert "answer.1.weight" in moved[0]
    assert {"exit.1.weight", "answer.1.weight"} <= moved[1]


def test_the_rate_falls_along_a_cosine_or_rises_first() -> None:
    assert [rate("cosine", 2.0, step, 4) for step in (0, 1, 2)] == pytest.approx([2.0, 1 + cos(pi / 4), 1.0])
    steps, parameter = 50, nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=0.4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.4, steps)
    for step in range(steps):
        assert rate("onecycle", 0.4, step, steps) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", ["cosine", "onecycle"])
def test_a_training_of_few_steps_has_a_rate_too(name: str, steps: int) -> None:
    assert all(0.0 < rate(name, 1.0, step, steps) <= 1.0 for step in range(steps - 1 or 1))


def test_pictures_are_cut_out_of_their_padded_selves_and_mirrored() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(1, 255, (64, 5, 4, 3)).astype(np.uint8)
    mirrored = augmented(images, Augmentation(flip=True), 0, np.random.default_rng(1))
    same = (mirrored == images).all((1, 2, 3))
    assert 10 < same.sum() < 54
    assert (mirrored[~same] == images[~same][:, :, ::-1]).all()
    moved = augmented(images, Augmentation(padding=2), 9, np.random.default_rng(1))
    wide = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=9)
    places = [
        [(top, left) for top in range(5) for left in range(5) if (one == whole[top : top + 5, left : left + 4]).all()]
        for one, whole in zip(moved, wide, strict=True)
    ]
    assert all(places)
    assert {top for (top, _), *_ in places} == {left for (_, left), *_ in places} == set(range(5))


def test_nothing_but_pictures_is_augmented_and_nothing_is_learned_without_labels() -> None:
    values = np.zeros((4, 3), np.float32)
    with pytest.raises(ConfigError, match="only pictures"):
        Feed(Examples((values,), np.zeros(4, np.int64), None), Augmentation(flip=True), channels_last=False)
    with pytest.raises(DataError, match="no labels"):
        Feed(Examples((values,), None, None), Augmentation(), channels_last=False)


def test_a_head_behind_a_part_sees_what_the_part_gives() -> None:
    torch.manual_seed(1)
    module, image = Body(), torch.randn(3, 1, 8, 8)
    both = with_exits(module, ["second", "first"], [image]).eval()
    with torch.no_grad():
        for parameter in both.exits.parameters():
            parameter.normal_()
        first, second, final = logits_of(both(image))
        state = module.first(image)
        assert torch.equal(final, module(image))
        head = both.exits[0]
        torch.testing.assert_close(first, state.mean([2, 3]) @ head.weight + head.bias)
        assert torch.equal(second, both.exits[1](module.second(state)))


def test_hidden_states_beside_the_exits_are_left_out() -> None:
    exits = [torch.zeros(2, 3), torch.ones(2, 3)]
    assert [one.mean().item() for one in logits_of(([torch.zeros(2, 5)], exits))] == [0.0, 1.0]
    assert len(logits_of({"logits": exits[0]})) == 1
    with pytest.raises(ModelError, match="none of them class logits"):
        logits_of({"a": torch.zeros(2, 3, 4), "b": torch.zeros(2)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"way": "other"},
        {"optimiser": "adam"},
        {"rate": "flat"},
        {"validation": 0.0},
        {"patience": 0},
        {"momentum": 1.0},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|must"):
        JointPlan(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("depths", [(0.5,), (0.5, 0.5, 1.0), (0.2, 0.5, 0.9), (0.0, 0.5, 1.0)])
def test_depths_rise_to_one(depths: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="expected 3 rising shares"):
        JointPlan(depths=depths).shares(3)
    assert JointPlan().shares(4) == (0.25, 0.5, 0.75, 1.0)
