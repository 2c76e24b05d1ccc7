"""`offramp partition --plot`: what is drawn, what is measured for it, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from partitioner import plot, timing
from partitioner.build import Wish, planned
from partitioner.listing import list_cuts
from partitioner.picture import Input, input_of, jpeg_bytes, picture_of
from partitioner.sources import read_network
from split_core import bundle
from split_core.cli import main
from split_core.errors import ProfileError
from split_core.preprocess import Preprocess
from split_core.profiles import Device, HwProfile, Payload, Timing
from tests.partitioner.graphs import network_of
from tests.tiny import tiny_samples

PREPROCESS = Preprocess(height=8, width=8, colour="gray")


def ticking(*steps_s: float) -> Callable[[], float]:
    """A clock of which each reading is a step later; the last step repeats."""

    def readings() -> Iterator[float]:
        now, steps = 0.0, [*steps_s]
        while True:
            yield now
            now += steps.pop(0) if len(steps) > 1 else steps[0]

    return readings().__next__


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A file whose pixels are noise, larger than the network's input."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_both_formats_are_drawn_with_cuts_and_the_jpeg_line(
    capsys: pytest.CaptureFixture[str], tiny_model_path: Path, photo: Path, tmp_path: Path
) -> None:
    svg, png = tmp_path / "a.svg", tmp_path / "b.png"
    assert main(["partition", str(tiny_model_path), "--list-cuts", "--plot", str(svg), "--pictures", str(photo)]) == 0
    assert f"drew {svg}" in capsys.readouterr().out
    drawn = svg.read_text()
    for words in (
        "tiny: what crosses each cut",
        "cut 1",
        "8 bits a value",
        "the input as JPEG",
        "the input's pixels, 64 B",
    ):
        assert words in drawn
    assert "--pictures" not in drawn
    words = ["partition", str(tiny_model_path), "--out", str(tmp_path / "b"), "--plot", str(png), "--json"]
    assert main(words) == 0
    with Image.open(png) as image:
        assert image.format == "PNG"
        assert image.width > 1000
    assert bundle.load(tmp_path / "b" / "tiny" / "1").manifest.exits == 3


def test_a_drawing_without_pictures_says_how_to_get_the_line(tiny_model_path: Path, tmp_path: Path) -> None:
    network = read_network(str(tiny_model_path))
    plan = planned(network, Wish())
    given = input_of(network, None, None)
    assert given == Input(row_bytes=256, pixels=64)
    picture = picture_of(
        network, plan.rows, plan.network.cuts, name="n", given=given, profile=None, clock=timing.OWN_TIME
    )
    assert "--pictures" in picture.caption
    assert [plan.rows[place].tensors for place in picture.chosen] == list(plan.network.cuts)
    assert f"measured at {len(plan.rows)} cuts." in picture.caption
    assert all(ms > 0 for ms in picture.progress.ms)
    plot.draw(picture, tmp_path / "n.svg")
    first = (tmp_path / "n.svg").read_bytes()
    plot.draw(picture, tmp_path / "n.svg")
    assert (tmp_path / "n.svg").read_bytes() == first


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (2, ".png or .svg", ["--plot", "drawing.pdf"]),
        (2, "give --plot", ["--pictures", "photo.png"]),
        (3, "nowhere.png", ["--plot", "x.png", "--pictures", "nowhere.png"]),
        (3, "no images", ["--plot", "x.png", "--pictures", "."]),
        (2, "cannot be written", ["--plot", "file/x.png"]),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tiny_model_path: Path,
    tmp_path: Path,
    code: int,
    said: str,
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    assert main(["partition", str(tiny_model_path), "--list-cuts", "--json", *words]) == code
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "x.png").exists()


def test_a_missing_matplotlib_names_its_extra_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "partitioner.plot")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["partition", "absent.onnx", "--plot", "x.png"]) == 4
    assert "pip install 'offramp[report]'" in capsys.readouterr().err


def test_pictures_for_a_network_that_takes_none_are_refused(
    capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path
) -> None:
    network = network_of([], "x", ("x",))
    (tmp_path / "rows.onnx").write_bytes(network.model.SerializeToString())
    words = ["partition", str(tmp_path / "rows.onnx"), "--plot", str(tmp_path / "x.png"), "--pictures", str(photo)]
    assert main(words) == 2
    assert "takes no images but x float32" in capsys.readouterr().err


def test_jpeg_bytes_are_the_median_over_a_file_a_folder_or_an_archive(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for number, level in enumerate((0, 128)):
        Image.new("L", (30, 30), level).save(tmp_path / "folder" / f"{number}.png")
    Image.open(photo).save(tmp_path / "folder" / "2.PNG", "PNG")
    images, _ = tiny_samples(7, seed=0)
    np.savez(tmp_path / "some.npz", images=images)
    noise, one = jpeg_bytes(photo, PREPROCESS)
    flat, three = jpeg_bytes(tmp_path / "folder", PREPROCESS)
    assert (one, three) == (1, 3)
    assert flat < noise
    assert jpeg_bytes(tmp_path / "some.npz", PREPROCESS)[1] == 7


def test_the_median_leaves_out_the_warm_up_and_fits_the_budget() -> None:
    calls: list[None] = []
    # Every call takes 10 ms, but the first that counts takes a second: the budget is used up, the least stays.
    clock = ticking(1.0, 0.0, 0.01, 0.0, 0.01, 0.0, 0.01, 0.0, 0.01, 0.0)
    assert timing.median_ms(lambda: calls.append(None), clock) == pytest.approx(10.0)
    assert len(calls) == 2 + timing.RUNS[0]
    calls.clear()
    assert timing.median_ms(lambda: calls.append(None), ticking(1e-6)) == pytest.approx(1e-3)
    assert len(calls) == 2 + timing.RUNS[1]


def test_many_cuts_are_measured_evenly_and_the_chosen_always() -> None:
    assert timing.measured_places(5, (), 40) == [0, 1, 2, 3, 4]
    assert timing.measured_places(101, (3,), 5) == [0, 3, 25, 50, 75, 100]
    assert timing.measured_places(0, (), 40) == []


def test_between_two_measured_cuts_time_grows_with_compute() -> None:
    found = timing.between([0.1, 0.2, 0.4, 0.9], [1, 2], [3.0, 5.0], 11.0)
    assert found == pytest.approx((1.5, 3.0, 5.0, 10.0))
    # Two cuts with the same compute before them keep their own measurements.
    assert timing.between([0.5, 0.5], [0, 1], [2.0, 3.0], 4.0) == (2.0, 3.0)


def _profile(network_sha256: str, cuts: tuple[tuple[str, ...], ...]) -> HwProfile:
    step = Timing(p50_ms=2.0, p95_ms=3.0, n=9)
    device = Device(
        machine="arm", cores=4, python="3", numpy="2", backend="onnxruntime", backend_version="1", threads=2
    )
    payloads = tuple(Payload(cut=k, codec="u8", encode=step, bytes_p50=1, bytes_p95=1) for k in range(3))
    return HwProfile(
        name="door",
        bundle_id="0" * 64,
        network=network_sha256,
        cuts=cuts,
        device=device,
        segments=(step,) * 3,
        heads=(step,) * 3,
        tensor=Timing(p50_ms=0.0, p95_ms=0.0, n=9),
        payloads=payloads,
        slowdown=10.0,
    )


def test_with_a_profile_the_times_are_the_devices(tiny_model_path: Path) -> None:
    network = read_network(str(tiny_model_path))
    rows = list_cuts(network)
    profile = _profile(network.source["sha256"], network.cuts)
    progress = timing.timed_there(network, rows, profile)
    at = {row.tensors: ms for row, ms in zip(rows, progress.ms, strict=True)}
    assert [at[tensors] for tensors in network.cuts] == pytest.approx([20.0, 40.0])
    assert progress.whole_ms == pytest.approx(60.0)
    assert sum(progress.measured) == 2
    assert "door: arm, slowed 10 times, 2 threads" in progress.where
    with pytest.raises(ProfileError, match="another network"):
        timing.timed_there(network, rows, _profile("f" * 64, network.cuts))


def test_names_keep_their_distance_and_the_chosen_are_always_named() -> None:
    names = ["input", *(f"layer.{k // 4}" + ("" if k % 4 == 3 else f" (op {k})") for k in range(200)), "the end"]
    shown = plot.named_places(names, [10, 11])
    assert {0, 10, 11, 201} <= set(shown)
    assert len(shown) <= plot.TICKS + 2
    assert sum("(" in names[place] for place in shown) <= 2 + 2  # the chosen, and what fits into the gaps beside them
    assert plot.named_places(["input", "a", "the end"], []) == [0, 1, 2]


def test_long_names_lose_their_middle() -> None:
    assert plot.shortened("layer.1.conv") == "layer.1.conv"
    short = plot.shortened("encoder.layer.0.attention.output.LayerNorm")
    assert short.startswith("encoder.layer.0…")
    assert short.endswith("LayerNorm")
    assert len(short) <= plot.NAME


def test_bytes_are_written_as_people_read_them() -> None:
    assert [plot.written(count) for count in (64, 1000, 1568, 150_528, 2_000_000, 38_535_168)] == [
        "64 B",
        "1 KB",
        "1.57 KB",
        "151 KB",
        "2 MB",
        "38.5 MB",
    ]
