"""A text network's whole road as processes of their own: a `.tsv`, a device, a worker, CURVE between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from edge_runtime import profiling
from edge_runtime.config import EdgeConfig
from edge_runtime.snapshot.app import take
from edge_runtime.snapshot.picture import draw
from split_core import bundle as bundles
from split_core import cli, profiles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.config import parsed
from split_core.demo.processes import Background
from split_core.policy import CodecSection
from split_core.telemetry.decisions import FrameRecord
from split_core.transport.keys import make_keys
from tests.system.test_edge import Site, finished
from tests.text_world import lines, text_bundle, write_tsv

TEXTS = lines(120, seed=5)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("text")
    root = text_bundle(folder)
    bundle = bundles.load(root)
    samples = write_tsv(folder / "dev.tsv", lines(200, seed=6), header="text\tlabel\n")
    write_tsv(folder / "stream.tsv", TEXTS)
    assert cli.main(["calibrate", str(root), "--data", str(samples), "--out", str(folder / "policy.yaml")]) == 0
    codecs = CodecSection.usual(bundle.intake())
    measured = profiling.profile(
        bundle, OnnxRuntimeBackend(), [text for text, _ in TEXTS[:20]], name="t", codecs=codecs
    )
    profiles.save(measured, folder / "profile.yaml")
    make_keys(folder, "worker")
    return Site(folder, root, np.zeros(0))


@pytest.fixture(scope="module")
def worker(site: Site) -> Iterator[Background]:
    running = site.worker()
    yield running
    running.end()


def run(site: Site, worker: Background | None, bandit: dict[str, Any]) -> list[FrameRecord]:
    source = {"kind": "tsv", "fps": 50, "every": True, "options": {"path": str(site.folder / "stream.tsv")}}
    finished(site.edge(worker.ready["address"] if worker else "", source=source, bandit=bandit))
    return site.records()


def test_shorter_texts_than_were_calibrated_on_raise_the_alarm(site: Site) -> None:
    write_tsv(site.folder / "short.tsv", [(text.split()[0], label) for text, label in TEXTS])
    source = {"kind": "tsv", "every": True, "options": {"path": str(site.folder / "short.tsv")}}
    said = finished(site.edge("", source=source, bandit={"name": "edge_only", "params": {}}))
    assert "detector=tokens_page_hinkley" in said
    assert "exit=0" in said


def right(records: list[FrameRecord]) -> float:
    return float(np.mean([record.label == TEXTS[record.seq][1] for record in records]))


@pytest.mark.parametrize("split", [0, 1, 2])
def test_ids_and_hidden_states_with_masks_are_finished_by_the_worker(
    site: Site, worker: Background, split: int
) -> None:
    records = run(site, worker, {"name": "fixed", "params": {"split": split, "threshold": 1.0}})
    cloud = [record for record in records if record.where == "cloud"]
    assert len(records) == len(TEXTS)
    assert len(cloud) > 0.8 * len(records)
    assert right(cloud) == 1.0
    sizes = {record.payload_bytes for record in cloud}
    assert len(sizes) > 1  # as long as the texts are
    if split == 0:
        assert sizes <= {2 * tokens for tokens in range(3, 13)}


def test_a_device_without_a_cloud_answers_every_text(site: Site) -> None:
    records = run(site, None, {"name": "edge_only", "params": {}})
    assert {record.where for record in records} == {"edge"}
    assert len(records) == len(TEXTS)
    assert right(records) == 1.0


def test_a_snapshot_shows_the_text_and_what_every_exit_and_the_worker_say_of_it(site: Site, worker: Background) -> None:
    source = {"kind": "tsv", "options": {"path": str(site.folder / "stream.tsv")}}
    config = site.config(worker.ready["address"], source=source, bandit={"name": "edge_only", "params": {}})
    snapshot, item = take(parsed(config, EdgeConfig, "test"))
    assert item == TEXTS[0][0]
    assert snapshot.frame == f"text of {len(item)} characters"
    assert [one.name for one in snapshot.measures] == ["tokens", "pieces"]
    assert snapshot.label == TEXTS[0][1]
    assert {one.when for one in snapshot.exits} >= {"run", "worker"}
    picture = draw(snapshot, item)
    assert len(picture.bars) == len(snapshot.exits)
