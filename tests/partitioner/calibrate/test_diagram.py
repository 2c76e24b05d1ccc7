from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from partitioner.calibrate.diagram import bins_of, diagram_of
from partitioner.calibrate.keep import Apart
from partitioner.calibrate.reliability import calibration_error
from split_core.cli import main
from tests.partitioner.calibrate.test_choose import drawn
from tests.tiny import tiny_samples


def test_bins_by_hand() -> None:
    # Four bins; the third is empty.  1.0 belongs to the last.
    found = bins_of(np.array([0.1, 0.2, 0.3, 0.8, 1.0]), np.array([False, True, True, True, True]), bins=4)
    assert found.count.tolist() == [2, 1, 2]
    assert found.confidence == pytest.approx([0.15, 0.3, 0.9])
    assert found.accuracy.tolist() == [0.5, 1.0, 1.0]
    # Clopper-Pearson at 90 %: 1 of 2 is .0253 to .9747; of 1 of 1 the lower end is .05, of 2 of 2 it is sqrt(.05).
    assert found.low == pytest.approx([0.025321, 0.05, 0.05**0.5], abs=1e-6)
    assert found.high == pytest.approx([0.974679, 1.0, 1.0], abs=1e-6)


def test_nobody_right_has_an_interval_from_zero() -> None:
    found = bins_of(np.full(10, 0.5), np.zeros(10, np.bool_))
    assert (found.low[0], found.accuracy[0]) == (0.0, 0.0)
    assert found.high[0] == pytest.approx(1 - 0.05 ** (1 / 10))


def test_a_diagram_counts_every_sample_at_every_exit() -> None:
    traces = drawn(500, seed=1)
    diagram = diagram_of("tiny", Apart(np.arange(500), traces, traces))
    assert (diagram.samples, len(diagram.exits)) == (500, 3)
    for k, one in enumerate(diagram.exits):
        assert one.raw.count.sum() == one.calibrated.count.sum() == 500
        assert one.calibrated.ece == calibration_error(traces.confidence[:, k], traces.correct[:, k])
        inside = (one.calibrated.low <= one.calibrated.accuracy) & (one.calibrated.accuracy <= one.calibrated.high)
        assert inside.all()


@pytest.fixture
def command(tiny_bundle: Path, tmp_path: Path) -> list[str]:
    images, labels = tiny_samples(200, seed=3)
    np.savez(tmp_path / "samples.npz", images=images, labels=labels)
    words = ["calibrate", tiny_bundle, "--data", tmp_path / "samples.npz", "--out", tmp_path / "p.yaml", "--threads", 1]
    return [str(word) for word in [*words, "--codec-samples", 20]]


def test_it_is_drawn_as_svg_png_and_page(command: list[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "a.png", "a.html", "b.svg"):
        assert main([*command, "--plot", str(tmp_path / name)]) == 0
    drawing, page = (tmp_path / "a.svg").read_text(), (tmp_path / "a.html").read_text()
    for words in ("tiny: is each exit as often right as it says?", "exit 3", "calibrated", "100 samples that nothing"):
        assert words in drawing
        assert words in page
    assert page.startswith("<!doctype html>")
    assert "<table><tr><th>exit" in page
    assert (tmp_path / "b.svg").read_bytes() == (tmp_path / "a.svg").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 1000


def test_another_kind_of_file_is_refused_before_anything_is_measured(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--plot", "a.pdf"]) == 2
    assert "expected a name that ends in .svg, .png, .html" in capsys.readouterr().err
    assert not (tmp_path / "p.yaml").exists()


def test_without_matplotlib_the_extra_is_named(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "partitioner.calibrate.plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([*command, "--plot", "a.png"]) == 4
    assert "pip install 'offramp[report]'" in capsys.readouterr().err
    assert not (tmp_path / "p.yaml").exists()
