"""One frame, shown: with and without a worker, for people and for programs."""

from __future__ import annotations

import base64
import json
import math
import re
import socket
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from edge_runtime.snapshot.app import take
from edge_runtime.snapshot.file import as_html
from edge_runtime.snapshot.panel import Box
from edge_runtime.snapshot.picture import COLOURS, WHOSE, draw
from edge_runtime.snapshot.snapshot import Said, Snapshot
from edge_runtime.snapshot.words import in_lines
from split_core import cli
from split_core.config import parsed
from split_core.demo.processes import Background, command
from split_core.errors import ConfigError, DataError, SourceError
from tests.release_world import AT_EXIT_1, Workshop
from tests.system.test_edge import ALWAYS_SHIP, Site
from tests.system.test_edge import site as site  # fixtures
from tests.system.test_edge import worker as worker

EARLY = {"name": "fixed", "params": {"split": 1, "threshold": 0.0}}


def taken(site: Site, address: str = "", **changes: Any) -> Snapshot:
    snapshot, _ = take(parsed(site.config(address, **changes), EdgeConfig, "test"))
    return snapshot


def test_without_a_worker_every_exit_says_something_and_its_time_is_accounted_for(site: Site):
    snapshot = taken(site, bandit={"name": "edge_only"})
    assert (snapshot.where, snapshot.exit, snapshot.degraded, snapshot.cloud) == ("edge", 3, "", False)
    assert [(one.exit, one.when) for one in snapshot.exits] == [(1, "afterwards"), (2, "afterwards"), (3, "run")]
    assert sum(part.ms for part in snapshot.spent) == pytest.approx(snapshot.latency_ms)
    assert [step.action for step in snapshot.steps] == ["deeper", "answer"]
    assert snapshot.cut == -1


def test_a_shipped_frame_shows_what_the_worker_said_and_where_its_time_went(site: Site, worker: Background):
    snapshot = taken(site, worker.ready["address"], bandit=ALWAYS_SHIP)
    assert (snapshot.where, snapshot.exit) == ("cloud", 3)
    assert snapshot.cut in (0, 1)
    assert [one.when for one in snapshot.exits] == ["run", "afterwards", "afterwards", "worker"]
    assert snapshot.exits[-1].label == snapshot.label
    assert {part.where for part in snapshot.spent} >= {"device", "link", "cloud"}
    assert sum(part.ms for part in snapshot.spent) == pytest.approx(snapshot.latency_ms)
    assert snapshot.steps[-1].action == "ship"
    assert snapshot.payload_bytes > 0


def test_of_a_frame_that_was_answered_here_the_worker_is_asked_afterwards(site: Site, worker: Background):
    snapshot = taken(site, worker.ready["address"], bandit=EARLY)
    assert (snapshot.where, snapshot.exit, snapshot.cut) == ("edge", 1, -1)
    assert snapshot.exits[0].asked == 0.0
    assert (snapshot.exits[-1].when, snapshot.exits[-1].exit) == ("worker", 3)


def test_it_decides_with_what_the_camera_has_learned_and_touches_nothing(site: Site):
    state = site.folder / "state.json"
    kept = {"state": str(state), "bandit": {"name": "sequential"}, "decisions": str(site.folder / "log.jsonl")}
    EdgeApp(parsed(site.config(**kept), EdgeConfig, "test")).run()
    before = {path: path.read_bytes() for path in site.folder.rglob("*") if path.is_file()}
    snapshot = taken(site, **kept)
    assert snapshot.about.learned.startswith("with what")
    assert {path: path.read_bytes() for path in site.folder.rglob("*") if path.is_file()} == before
    assert taken(site, bandit={"name": "edge_only"}, state=str(state)).about.learned.endswith(
        "another bundle or policy"
    )


def test_what_is_no_camera_or_no_frame_is_refused(site: Site, tmp_path: Path):
    config = parsed(site.config(), EdgeConfig, "test")
    with pytest.raises(ConfigError, match="expected one of camera"):
        take(config, camera="yard")
    with pytest.raises(SourceError, match="no such file"):
        take(config, item=tmp_path / "nothing.npz")


def test_a_frame_of_ones_own_may_be_shown_instead(site: Site, tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    Image.fromarray(site.images[7][..., 0]).save(tmp_path / "pictures" / "seven.png")
    snapshot, item = take(parsed(site.config(), EdgeConfig, "test"), item=tmp_path / "pictures")
    assert isinstance(item, np.ndarray)
    assert np.array_equal(item[..., 0], site.images[7][..., 0])
    assert snapshot.frame.startswith("8 x 8 pixels")


def test_what_is_active_in_a_store_of_releases_is_what_is_shown(tiny_bundle: Path, tmp_path: Path):
    workshop = Workshop(tmp_path)
    workshop.add(tiny_bundle, AT_EXIT_1)
    workshop.store.promote("active")
    snapshot, _ = take(parsed(workshop.config(), EdgeConfig, "test"))
    assert (snapshot.exit, snapshot.about.policy) == (1, "fixed")


def test_one_pictures_file_is_enough_and_one_that_is_no_picture_is_refused(site: Site, tmp_path: Path):
    config = parsed(site.config(), EdgeConfig, "test")
    Image.fromarray(site.images[7][..., 0]).save(tmp_path / "seven.png")
    _, item = take(config, item=tmp_path / "seven.png")
    assert isinstance(item, np.ndarray)
    assert np.array_equal(item[..., 0], site.images[7][..., 0])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        take(config, item=tmp_path / "broken.png")


def test_a_source_without_a_frame_is_refused(site: Site, tmp_path: Path):
    (tmp_path / "empty.tsv").write_text("text\tlabel\n")
    with pytest.raises(SourceError):
        take(parsed(site.config(), EdgeConfig, "test"), item=tmp_path / "empty.tsv")


def test_a_camera_that_cannot_be_reached_is_told_in_one_line(
    site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    pytest.importorskip("av")
    with socket.create_server(("127.0.0.1", 0)) as taken_port:
        port = taken_port.getsockname()[1]
    source = {"kind": "camera", "options": {"address": f"rtsp://me:secret@127.0.0.1:{port}/door", "timeout_s": 2.0}}
    (tmp_path / "edge.yaml").write_text(yaml.safe_dump(site.config(source=source)))
    assert cli.main(["edge", "snapshot", str(tmp_path / "edge.yaml")]) == SourceError.exit_code
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    assert f"127.0.0.1:{port}/door: Connection refused" in line
    assert "secret" not in line


def share_of(image: Image.Image, bar: Box, colour: tuple[int, int, int]) -> float:
    """Of a bar that has this colour in its middle row."""
    row = np.asarray(image)[(bar.top + bar.bottom) // 2, bar.left : bar.right]
    return float((row == colour).all(axis=1).mean())


def test_bars_are_as_long_as_confidences(site: Site):
    snapshot, item = take(parsed(site.config(bandit=EARLY), EdgeConfig, "test"))
    first, *others = snapshot.exits
    told = (replace(first, confidence=0.25, asked=math.nan), *others)
    picture = draw(replace(snapshot, exits=told), item)
    assert picture.image.width == 1200
    assert share_of(picture.image, picture.bars[0], WHOSE["run"]) == pytest.approx(0.25, abs=0.01)
    assert 0.0 < share_of(picture.image, picture.bars[1], WHOSE["afterwards"]) < 0.8  # striped
    assert (np.asarray(picture.image) == COLOURS["device"]).all(axis=2).any()


@pytest.mark.parametrize("item", ["a short text", "long " * 2000, "", "schön, 日本語, 🚲", "one\nword" * 50])
def test_texts_are_drawn_whatever_is_in_them(site: Site, item: str):
    snapshot = taken(site)
    picture = draw(replace(snapshot, frame=f"text of {len(item)} characters"), item)
    assert 600 < picture.image.height < 3000


def test_long_names_findings_and_ends_are_told(site: Site):
    snapshot = taken(site)
    odd = replace(
        snapshot,
        name="a name that is much longer than any line has room for " * 4,
        degraded="timeout",
        marked="guardrail",
        late=True,
        drift=("martingale of exit 1: 12 > 9",),
        exits=(*snapshot.exits, Said(3, -1, "unknown", 0.5, math.nan, "worker", math.inf, "unsure")),
    )
    lines = "\n".join(in_lines(odd))
    for words in (
        "TOO LATE",
        "degraded: timeout",
        "guardrail",
        "martingale of exit 1",
        "never answers",
        "guard: unsure",
    ):
        assert words in lines
    assert draw(odd, site.images[0]).image.height > draw(snapshot, site.images[0]).image.height


def test_the_command_tells_writes_and_prints_json(site: Site):
    (site.folder / "edge.yaml").write_text(yaml.safe_dump(site.config()))
    png = site.folder / "snapshot.png"
    words = command("edge", "snapshot", str(site.folder / "edge.yaml"))
    done = subprocess.run([*words, "--out", str(png)], capture_output=True, text=True, check=True)
    assert "exit 3 says" in done.stdout
    with Image.open(png) as image:
        assert image.width == 1200
    piped = subprocess.run([*words, "--out", "-"], capture_output=True, check=True)
    with Image.open(BytesIO(piped.stdout)) as image:
        assert image.width == 1200
    assert b"exit 3 says" in piped.stderr
    found = json.loads(subprocess.run([*words, "--json"], capture_output=True, text=True, check=True).stdout)
    assert found["about"]["camera"] == "camera"
    assert len(found["exits"]) == 3


def test_a_page_holds_picture_and_words_and_nothing_of_a_name_is_markup(site: Site):
    snapshot, item = take(parsed(site.config(), EdgeConfig, "test"))
    page = as_html(replace(snapshot, name="<b>coat</b>"), item).decode()
    assert "&lt;b&gt;coat&lt;/b&gt;" in page
    assert "<b>" not in page
    picture = re.search(r"data:image/png;base64,([^\"]+)", page)
    assert picture
    with Image.open(BytesIO(base64.b64decode(picture.group(1)))) as image:
        assert image.width == 1200


@pytest.mark.parametrize(
    ("words", "said"), [(["--out", "snapshot.jpg"], "ends with .png or .html"), (["--out", "-", "--json"], "both")]
)
def test_what_cannot_be_written_is_refused_before_anything_is_done(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["edge", "snapshot", "nothing.yaml", *words]) == ConfigError.exit_code
    assert said in capsys.readouterr().err
