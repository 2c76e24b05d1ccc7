from __future__ import annotations

from pathlib import Path

import numpy as np

from partitioner.chain import Chain
from split_core import bundle
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from tests.tiny import EXITS, LABELS, PREPROCESS, tiny_samples


def test_the_tiny_bundle_loads_and_its_exits_get_better_with_depth(tiny_bundle: Path) -> None:
    loaded = bundle.load(tiny_bundle)
    contents = {piece.file: loaded.content(piece) for piece in loaded.manifest.pieces()}
    images, labels = tiny_samples(500)
    passage = Chain(loaded.manifest, contents, OnnxRuntimeBackend(), threads=1).run([PREPROCESS.tensor(images)])
    right = [float(np.mean(logits.argmax(1) == labels)) for logits in passage.logits]
    assert loaded.manifest.labels == LABELS
    assert loaded.manifest.exits == EXITS
    assert 0.5 < right[0] < right[1] < right[2]
