"""A real TensorRT parses and builds what is made for it, with no driver: `make test-tensorrt`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorrt_rtx", reason="needs the package tensorrt-rtx, see `make test-tensorrt`")

from partitioner.build import Wish, planned
from partitioner.cut import cut
from partitioner.examples import Examples, rows_of
from partitioner.manifest import Identity, manifest_of
from partitioner.precision import PRECISIONS
from partitioner.precision.convert import converted
from split_core.bundle import Bundle
from tests.partitioner.precision.samples import NOTHING_TO_DO, samples_for
from tests.partitioner.test_tensorrt_engines import FAMILIES, SLOW, engine

pytestmark = pytest.mark.tensorrt

FOR_TENSORRT = [name for name in PRECISIONS if PRECISIONS.load(name).backend == "tensorrt"]
# One of each kind; the families' own test has all of them in float32.
KINDS = ["tiny", "demo", "mobilenet_v2", "resnet", "convnext", "vit", "distilbert", "gpt2", "densenet", "unet"]


def marked(family: str) -> object:
    missing = pytest.mark.skipif(family not in FAMILIES, reason="needs torch and transformers")
    return pytest.param(
        family, marks=[missing, *([pytest.mark.slow] if family in SLOW or family not in FAMILIES else [])]
    )


@pytest.mark.parametrize("family", [marked(name) for name in KINDS])
def test_every_piece_for_tensorrt_is_parsed_and_built(family: str, tmp_path: Path) -> None:
    plan = planned(FAMILIES[family](tmp_path), Wish())
    parts = cut(plan.network)
    exported = Bundle(tmp_path, manifest_of(plan.network, parts, Identity(name="x"), plan.blocks), {}, parts.contents())
    samples: Examples = samples_for(exported.manifest, 4)
    assert samples.rows == rows_of(exported.manifest)
    made = converted(exported, FOR_TENSORRT, list(samples.batches()))
    sizes = {file: len(engine(content)) for file, content in made.contents.items()}
    assert set(FOR_TENSORRT) == {file.split("/")[1] for file in sizes}
    assert np.min(list(sizes.values())) > 1_000
    assert {why for kept in made.kept.values() for why in kept.values()} <= NOTHING_TO_DO
