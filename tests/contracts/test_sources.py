"""Every source of the registry keeps the contract of `edge_runtime.sources.base`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime.sources import SOURCES
from edge_runtime.sources.base import LiveSource, Source
from split_core.errors import SourceError

COUNT = 5


def an_array(folder: Path) -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 8), np.uint8)
    np.savez(folder / "images.npz", images=images)
    return {"path": str(folder / "images.npz")}


def a_directory(folder: Path) -> dict[str, Any]:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(COUNT):
        Image.fromarray(np.full((6, 8, 3), 40 * number, np.uint8)).save(pictures / f"{number}.png")
    (pictures / "notes.txt").write_text("not a picture")
    return {"path": str(pictures)}


def a_video(folder: Path) -> dict[str, Any]:
    av = pytest.importorskip("av")
    path = folder / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return {"path": str(path)}


def a_tsv(folder: Path) -> dict[str, Any]:
    (folder / "texts.tsv").write_text("".join(f"text number {number}\t{number % 2}\n" for number in range(COUNT)))
    return {"path": str(folder / "texts.tsv")}


def some_lines(folder: Path) -> dict[str, Any]:
    lines = [json.dumps(f"text number {number}") for number in range(COUNT)]
    (folder / "lines.jsonl").write_text("\n".join([*lines[:2], "", *lines[2:]]) + "\n")
    return {"path": str(folder / "lines.jsonl")}


MAKERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "array": an_array,
    "camera": lambda folder: {"address": a_video(folder)["path"]},
    "directory": a_directory,
    "lines": some_lines,
    "tsv": a_tsv,
    "video": a_video,
}


@pytest.fixture(params=list(SOURCES))
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[..., Source], dict[str, Any]]:
    assert request.param in MAKERS, f"a new source {request.param!r} needs a maker here"
    return SOURCES.load(request.param), MAKERS[request.param](tmp_path)


def test_it_gives_every_item_once_and_then_none(made):
    make, options = made
    source = make(**options)
    items = []
    while (item := source.read()) is not None:
        items.append(item)
    assert len(items) == COUNT
    assert source.read() is None
    source.close()


def test_an_item_is_a_text_or_read_only_bytes_of_one_or_three_channels(made):
    make, options = made
    source = make(**options)
    picture = source.read()
    if isinstance(picture, str):
        assert picture == "text number 0"
        return
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] in (1, 3)
    assert not picture.flags.writeable
    source.close()


def test_a_loop_begins_again(made):
    make, options = made
    if issubclass(make, LiveSource):
        return  # has no end, and so no beginning
    source = make(**options, loop=True)
    pictures = [source.read() for _ in range(2 * COUNT)]
    np.testing.assert_array_equal(pictures[0], pictures[COUNT])
    source.close()


def test_nothing_is_opened_before_the_first_read_and_a_missing_path_is_one_line(made, tmp_path):
    make, options = made
    source = make(**dict.fromkeys(options, str(tmp_path / "absent")))
    with pytest.raises(SourceError, match="absent") as caught:
        source.read()
    assert "\n" not in str(caught.value)
    source.close()


def test_garbage_is_an_error_of_one_line(made, tmp_path):
    make, options = made
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x00\x01garbage" * 50)
    source = make(**dict.fromkeys(options, str(garbage)))
    with pytest.raises(SourceError) as caught:
        source.read()
    assert "\n" not in str(caught.value)
    source.close()
