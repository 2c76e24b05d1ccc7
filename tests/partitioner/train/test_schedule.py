from __future__ import annotations

import numpy as np
import pytest

from partitioner.train.checkpoint import Checkpoint, Progress
from partitioner.train.schedule import Schedule
from split_core.errors import ConfigError, DataError

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_rows_to_learn_from_and_to_measure_on_share_nothing_and_leave_nothing():
    learn, measure = Schedule(validation=0.25, seed=4).split(100)
    assert (len(learn), len(measure)) == (75, 25)
    assert sorted([*learn, *measure]) == list(range(100))


def test_the_split_depends_on_the_seed_alone():
    first, second, other = (Schedule(seed=seed).split(50)[1].tolist() for seed in (1, 1, 2))
    assert first == second != other


def test_the_rate_falls_along_half_a_cosine():
    schedule = Schedule(epochs=4, learning_rate=8.0)
    assert [schedule.rate(epoch) for epoch in (0, 2, 4)] == pytest.approx([8.0, 4.0, 0.0])


def test_every_epoch_has_an_order_of_its_own_and_all_rows():
    schedule, rows = Schedule(), np.arange(40)
    first, second = schedule.order(rows, 1, 0), schedule.order(rows, 1, 1)
    assert first.tolist() != second.tolist()
    assert sorted(second) == rows.tolist()


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path):
    progress = Progress({"w": WEIGHT}, {"w": WEIGHT + 1}, {"w/step": WEIGHT[:, 0]}, 5, 3, 0.25, False)
    Checkpoint(tmp_path / "c.npz", "this").write(2, progress)
    found = Checkpoint(tmp_path / "c.npz", "this").read()[2]
    assert (found.epoch, found.best_epoch, found.best_loss, found.done) == (5, 3, 0.25, False)
    np.testing.assert_array_equal(found.best["w"], WEIGHT + 1)
    np.testing.assert_array_equal(found.moments["w/step"], WEIGHT[:, 0])


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "c.npz"
    Checkpoint(path, "this").write(1, Progress({"w": WEIGHT}, {"w": WEIGHT}))
    with pytest.raises(ConfigError, match="of another training"):
        Checkpoint(path, "that").read()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="not a readable"):
        Checkpoint(path, "this").read()
    np.savez(path, key=np.array("this"), exits=np.array([1]))
    with pytest.raises(DataError, match="not a whole checkpoint"):
        Checkpoint(path, "this").read()
