"""A camera in one precision and a worker in another: what crosses is the same float32 tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cloud_runtime.models import Model, load_model
from edge_runtime.artefacts import load
from edge_runtime.config import EdgeConfig, SourceSection
from edge_runtime.frames.prefix import Prefix
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.errors import ConfigError, ProfileError
from split_core.policy import ExitSection, PolicyFile
from tests.edge_runtime.world import profile
from tests.tiny import EXITS, tiny_samples

FRAMES = 60


@pytest.fixture
def bundle(tiny_precisions: Path) -> Bundle:
    return bundles.load(tiny_precisions)


def worker(root: Path, precision: str) -> Model:
    return load_model(root, OnnxRuntimeBackend(), threads=1, engines=1, precision=precision)


def answers(bundle: Bundle, edge: str, cloud: str, cut: int) -> np.ndarray:
    """Final logits (FRAMES, C) of frames that cross at `cut`."""
    prefix, model, found = Prefix(bundle, OnnxRuntimeBackend(), precision=edge), worker(bundle.root, cloud), []
    for image in tiny_samples(FRAMES, seed=13)[0]:
        run = prefix.start(image)
        for _ in range(cut):
            run.deepen()
        tensors = run.tensors(cut)
        for segment in range(cut + 1, EXITS + 1):
            tensors = model.run(segment, tensors, 0)
        found.append(tensors[0][0])
    return np.stack(found)


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize(("edge", "cloud"), [("int8", ""), ("", "int8"), ("int8", "int8"), ("fp16", "int8-tensorrt")])
def test_precisions_mix_across_a_cut(bundle: Bundle, edge: str, cloud: str, cut: int) -> None:
    exported, mixed = answers(bundle, "", "", cut), answers(bundle, edge, cloud, cut)
    assert mixed.dtype == np.float32
    assert np.corrcoef(exported.ravel(), mixed.ravel())[0, 1] > 0.99
    assert np.mean(exported.argmax(1) == mixed.argmax(1)) > 0.9
    assert not np.array_equal(exported, mixed)


def test_a_worker_in_8_bits_serves_the_same_bundle(bundle: Bundle) -> None:
    assert worker(bundle.root, "int8").id == worker(bundle.root, "").id == bundle.id


def test_a_worker_refuses_a_precision_that_the_bundle_does_not_have(bundle: Bundle, tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match=r"bundle 'tiny' has no 'int8-tensort'; did you mean 'int8-tensorrt'\?"):
        worker(bundle.root, "int8-tensort")
    with pytest.raises(ConfigError, match="bundle 'tiny' has no 'int8'; it has none but the exported"):
        worker(tiny_bundle, "int8")


def camera(bundle: Bundle, folder: Path, *, wanted: str, measured: str) -> EdgeConfig:
    """A camera that shall run in one precision, with a profile of another."""
    policies.save(PolicyFile(bundle_id=bundle.id, exits=(ExitSection(),) * EXITS), folder / "policy.yaml")
    profiles.save(profile(EXITS, bundle.id).model_copy(update={"precision": measured}), folder / "profile.yaml")
    return EdgeConfig(
        bundle=str(bundle.root),
        policy=str(folder / "policy.yaml"),
        profile=str(folder / "profile.yaml"),
        source=SourceSection(kind="array"),
        precision=wanted,
    )


def test_a_camera_runs_the_precision_of_its_config(bundle: Bundle, tmp_path: Path) -> None:
    prefix = load(camera(bundle, tmp_path, wanted="int8", measured="int8")).prefix()
    image, found = tiny_samples(1, seed=13)[0][0], []
    for made in (prefix, *(Prefix(bundle, OnnxRuntimeBackend(), precision=name) for name in ("int8", ""))):
        run = made.start(image)
        run.deepen()
        found.append(run.tensors(1)[0])
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("wanted", "measured", "words"),
    [
        ("int8", "", r"measured with the pieces as exported, .* run 'offramp profile --precision int8'"),
        ("", "int8", r"measured at precision 'int8', this camera runs with the pieces as exported; run 'offramp prof"),
    ],
)
def test_a_profile_of_another_precision_is_refused(
    bundle: Bundle, tmp_path: Path, wanted: str, measured: str, words: str
) -> None:
    with pytest.raises(ProfileError, match=words):
        load(camera(bundle, tmp_path, wanted=wanted, measured=measured))


def test_a_camera_refuses_a_precision_that_the_bundle_does_not_have(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no 'int4'; did you mean 'int8'"):
        load(camera(bundle, tmp_path, wanted="int4", measured="int4"))
