"""Joint training on the tiny pictures, with a network whose exits are its own and one that gets heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from partitioner.chain import Chain
from partitioner.examples import Examples
from partitioner.importers.module import built_to_train
from partitioner.train.joint.bundle import write_bundle
from partitioner.train.joint.exits import with_exits
from partitioner.train.joint.fitting import state_of
from partitioner.train.joint.plan import WAYS, Augmentation, JointPlan
from partitioner.train.joint.training import train
from partitioner.train.joint.weightings import WEIGHTINGS
from split_core import bundle as bundles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.errors import ConfigError, ModelError
from split_core.preprocess import Preprocess
from tests.partitioner.train.joint_modules import Body, WithItsOwn
from tests.tiny import IDENTITY, PREPROCESS, tiny_samples

SHORT = JointPlan(epochs=3, batch=32, learning_rate=0.01, validation=0.25)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def samples(count: int = 800) -> Examples:
    images, labels = tiny_samples(count, seed=3)
    return Examples((images,), labels, PREPROCESS)


def network(kind: type[nn.Module] = WithItsOwn) -> nn.Module:
    torch.manual_seed(0)
    return kind()


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("way", WAYS)
def test_all_exits_are_right_far_more_often_than_by_chance(name: str, way: str) -> None:
    trained = train(network(), samples(), JointPlan(weighting=name, way=way, epochs=6, batch=32, learning_rate=0.01))
    assert [row.name for row in trained.rows] == ["exit_1", "exit_2"]
    assert all(row.accuracy > 0.5 for row in trained.rows)


@pytest.mark.parametrize("target", ["distilled", "fastbert", "selfxit"])
def test_early_exits_may_learn_from_the_final_one(target: str) -> None:
    plan = JointPlan(target=target, epochs=6, batch=32, optimiser="sgd", rate="onecycle", learning_rate=0.05)
    trained = train(network(), samples(), plan)
    assert all(row.accuracy > 0.5 for row in trained.rows)
    assert trained.rows[0].agreement > 0.7


def test_the_module_has_the_weights_of_the_best_epoch_and_its_answers_are_those_told() -> None:
    examples = samples()
    trained = train(network(), examples, SHORT)
    best = trained.history[trained.best_epoch - 1]
    assert tuple(row.accuracy for row in trained.rows) == best.right
    assert best.merit == max(epoch.merit for epoch in trained.history)
    assert not trained.module.training


class Interrupted(Exception):
    """Stands for a power cut."""


@pytest.mark.parametrize(("way", "optimiser"), [("joint", "adamw"), ("alternating", "sgd")])
def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path: Path, way: str, optimiser: str) -> None:
    plan = JointPlan(
        weighting="dynexit",
        way=way,
        optimiser=optimiser,
        learning_rate=0.01,
        epochs=4,
        batch=32,
        augmentation=Augmentation(1),
        channels_last=True,
    )

    @contextmanager
    def cut_off(title: str, total: int) -> Iterator[Callable[[int], None]]:
        if title.startswith("epoch 3"):
            raise Interrupted
        yield lambda count: None

    whole = train(network(), samples(), plan)
    kept = tmp_path / "kept.npz"
    with pytest.raises(Interrupted):
        train(network(), samples(), plan, checkpoint=kept, steps=cut_off)
    rest = train(network(), samples(), plan, checkpoint=kept)
    assert rest.history == whole.history
    theirs, ours = state_of(whole.module), state_of(rest.module)
    assert all(np.array_equal(theirs[name], ours[name]) for name in theirs)
    again = train(network(), samples(), plan, checkpoint=kept)  # nothing is left to do
    assert (again.history, again.rows) == (whole.history, whole.rows)
    assert all(np.array_equal(theirs[name], value) for name, value in state_of(again.module).items())


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "kept.npz"
    train(network(), samples(), JointPlan(epochs=1), checkpoint=kept)
    with pytest.raises(ConfigError, match="of another training"):
        train(network(), samples(), JointPlan(epochs=2), checkpoint=kept)


def test_patience_ends_a_training_that_gets_no_better() -> None:
    plan = JointPlan(epochs=50, patience=2, batch=32, learning_rate=1e-12)
    trained = train(network(Body), samples(), plan)
    assert len(trained.history) == trained.best_epoch + 2 < 50


@pytest.mark.parametrize("head", ["", "linear", "conv", "max_average"])
def test_the_bundle_answers_as_the_module_does(tmp_path: Path, head: str) -> None:
    module, examples = network(Body) if head else network(), samples()
    if head:
        module = with_exits(module, ["second", "first"], [torch.zeros(2, 1, 8, 8)], head=head)
    trained = train(module, examples, SHORT)
    bundle = bundles.load(write_bundle(trained, tmp_path, IDENTITY))
    assert bundle.manifest.exits == len(trained.rows) == (3 if head else 2)
    assert all(piece.trained for piece in bundle.manifest.heads)
    assert bundle.manifest.source["training_accuracy"].startswith("exit_1 ")
    assert bundle.certificate["passed"]
    batch = PREPROCESS.tensor(examples.items[0][:40])
    with torch.no_grad():
        expected = [one.numpy() for one in trained.module(torch.from_numpy(batch))]
    for made, theirs in zip(Chain(bundle, OnnxRuntimeBackend(), threads=1).run([batch]).logits, expected, strict=True):
        np.testing.assert_allclose(made, theirs, atol=1e-4 * np.abs(theirs).max())


def test_a_module_that_cannot_be_trained_so_is_refused_before_the_first_step() -> None:
    alone = replace(
        samples(), items=(samples().items[0][:, :1],), preprocess=Preprocess(height=1, width=8, colour="gray")
    )
    with pytest.raises(ModelError, match="forward fails in training"):
        train(network(), alone, SHORT)
    norm = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4))
    with pytest.raises(ModelError, match="more than 1 value"):
        train(norm, samples(), replace(SHORT, batch=1))


def test_looking_at_a_module_first_changes_nothing_in_it() -> None:
    module = network()
    before = state_of(module)
    with pytest.raises(ConfigError, match="depths"):
        train(module, samples(), replace(SHORT, depths=(1.0,)))
    assert all(np.array_equal(value, before[name]) for name, value in state_of(module).items())


def test_what_the_factory_froze_stays() -> None:
    module, _ = built_to_train("tests.partitioner.train.joint_modules:Frozen", {}, seed=1)
    before = state_of(module)
    train(module, samples(200), SHORT)
    moved = {name for name, value in state_of(module).items() if not np.array_equal(value, before[name])}
    assert not {name for name, _ in module.first.named_parameters(prefix="first")} & moved
    assert {name for name, _ in module.second.named_parameters(prefix="second")} <= moved
    again, _ = built_to_train("tests.partitioner.train.joint_modules:Frozen", {}, seed=2)
    assert not np.array_equal(state_of(again)["answer.1.weight"], before["answer.1.weight"])
