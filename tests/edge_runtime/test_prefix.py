from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edge_runtime.frames.prefix import Pace, Prefix
from split_core import bundle as bundles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.errors import BundleError, DataError
from split_core.tokeniser import Tokeniser
from tests.edge_runtime.world import profile
from tests.tiny import PREPROCESS, tiny_samples


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path):
    return bundles.load(tiny_bundle)


def test_segments_and_heads_say_what_the_whole_network_says(bundle, tiny_model_path: Path):
    images, _ = tiny_samples(4, seed=3)
    whole = onnxruntime.InferenceSession(tiny_model_path.read_bytes())
    prefix = Prefix(bundle, OnnxRuntimeBackend())
    for image in images:
        expected = whole.run(["exit_1", "exit_2", "exit_3"], {"image": PREPROCESS.tensor(image)})
        run = prefix.start(image)
        for k in (1, 2, 3):
            run.deepen()
            np.testing.assert_allclose(run.logits(), expected[k - 1][0], atol=1e-4)


def test_what_crosses_a_cut_stays_there_when_the_run_goes_deeper(bundle):
    run = Prefix(bundle, OnnxRuntimeBackend()).start(tiny_samples(1)[0][0])
    run.deepen()
    before = run.tensors(1)[0].copy()
    run.deepen()
    run.deepen()
    np.testing.assert_array_equal(run.tensors(1)[0], before)
    assert run.tensors(0)[0].shape == (8, 8, 1)


def test_a_slower_device_takes_the_profiles_time_for_every_step(bundle):
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(profile(3, bundle.id), clock=lambda: now[0], sleep=sleep)
    run = Prefix(bundle, OnnxRuntimeBackend(), pace=pace, clock=lambda: now[0]).start(tiny_samples(1)[0][0])
    for _ in range(3):
        run.deepen()
        run.logits()
    assert run.segment_ms == pytest.approx([0, 4, 4, 4])
    assert run.head_ms == pytest.approx([0, 0.5, 0.5, 0])
    assert run.device_ms == pytest.approx(13)


@pytest.mark.parametrize(
    "pixels", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 1), np.float32), np.zeros((0, 8, 3), np.uint8)]
)
def test_pixels_that_are_no_image_are_refused_in_one_line(bundle, pixels):
    with pytest.raises(DataError, match="expected uint8"):
        Prefix(bundle, OnnxRuntimeBackend()).start(pixels)


def test_a_camera_picture_is_resized_and_turned_gray(bundle):
    run = Prefix(bundle, OnnxRuntimeBackend()).start(np.full((48, 64, 3), 200, np.uint8))
    assert run.item.shape == (8, 8, 1)
    assert (run.item == 200).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labels": None, "heads": ()}, "gives no class logits"),
        ({"preprocess": Tokeniser(tokeniser="org/name")}, "names its tokeniser 'org/name' and does not hold it"),
        ({"preprocess": None}, "says nothing about preprocessing"),
    ],
)
def test_a_network_that_is_not_for_cameras_is_refused_in_one_line(bundle, changed, words):
    other = Bundle(bundle.root, bundle.manifest.model_copy(update=changed), bundle.certificate, {})
    with pytest.raises(BundleError, match=words) as caught:
        Prefix(other, OnnxRuntimeBackend())
    assert "\n" not in str(caught.value)


def test_the_hidden_state_of_an_exit_is_pooled_and_the_last_exit_has_none(bundle):
    run = Prefix(bundle, OnnxRuntimeBackend()).start(tiny_samples(1)[0][0])
    run.deepen()
    maps = run.tensors(1)[0]
    np.testing.assert_allclose(run.pooled_hidden(), maps[0].reshape(maps.shape[1], -1).mean(axis=1), rtol=1e-6)
    run.deepen()
    run.deepen()
    assert run.pooled_hidden() is None
