from __future__ import annotations

import json
from pathlib import Path

import pytest

from split_core.cli import main
from split_core.errors import ArtefactError
from split_core.telemetry.chain import DamagedLine, logs_among
from split_core.telemetry.decisions import DecisionLog
from split_core.telemetry.log_summary import summarised
from tests.split_core.test_decisions import HEADER, record, written

NOON_S = 1_782_993_600.0  # 2026-07-02T12:00:00Z


def rotated(path: Path, count: int = 60) -> Path:
    """A log of a few small files, the oldest lines rotated away."""
    return written(path, count, max_bytes=4000, keep=3)


def test_a_summary_counts_what_is_there_and_what_was_rotated_away(tmp_path: Path) -> None:
    path = rotated(tmp_path / "log", 60)
    found = summarised(path)
    assert (found.files, found.headers) == (4, 4)
    assert found.lines == found.frames + found.headers
    last = json.loads(path.read_text().splitlines()[0])[1]
    assert found.rotated_away == last["line"] - (found.lines - len(path.read_text().splitlines()))
    assert "earlier lines were rotated away" in found.told()


def test_times_are_those_of_the_headers_and_what_frames_count_from_there(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log", HEADER, wall=lambda: NOON_S)
    for seq in range(1000, 1051):
        log.write(record(seq))  # ten a second
    log.note("drift", {"exit": 1})
    log.close()
    found = summarised(tmp_path / "log")
    assert (found.first_at, found.last_at) == ("2026-07-02T12:00:00+00:00", "2026-07-02T12:00:05+00:00")
    assert found.as_json()["notes"] == {"drift": 1}
    assert found.ids == HEADER


@pytest.mark.parametrize("number", [1, 2])
def test_a_rotated_file_that_was_removed_is_seen(tmp_path: Path, number: int) -> None:
    path = rotated(tmp_path / "log")
    path.with_name(f"log.{number}").unlink()
    with pytest.raises(DamagedLine, match="line 1: does not follow the last line of"):
        summarised(path)


def test_the_oldest_file_may_not_be_removed_before_its_turn(tmp_path: Path) -> None:
    path = rotated(tmp_path / "log")
    path.with_name("log.3").unlink()
    with pytest.raises(DamagedLine, match="expected 1 more files"):
        summarised(path)


def test_the_head_of_a_rotated_file_may_not_be_cut_off(tmp_path: Path) -> None:
    path = rotated(tmp_path / "log")
    oldest = path.with_name("log.3")
    oldest.write_bytes(b"".join(oldest.read_bytes().splitlines(keepends=True)[2:]))
    with pytest.raises(DamagedLine, match="expected a header"):
        summarised(path)


def test_a_tail_that_was_cut_off_before_the_next_start_is_seen(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 3)
    first = path.read_bytes().splitlines(keepends=True)
    written(path, 2, first=3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*first[:2], *lines[len(first) :]]))
    with pytest.raises(DamagedLine, match="line 3: the hash chain is broken"):
        summarised(path)


def test_a_tail_that_was_cut_off_at_the_end_is_seen_by_whoever_kept_the_head(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 3)
    head = summarised(path).head
    assert summarised(path, head[:16]).head == head
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert summarised(path).frames == 2  # the chain alone cannot know
    with pytest.raises(ArtefactError, match="no line has the digest"):
        summarised(path, head[:16])


def test_a_rotated_file_alone_can_be_looked_at(tmp_path: Path) -> None:
    path = rotated(tmp_path / "log")
    alone = summarised(path.with_name("log.2"))
    assert alone.files == 1
    assert 0 < alone.frames < summarised(path).frames


def test_a_log_is_looked_at_once_when_its_rotated_files_are_named_too(tmp_path: Path) -> None:
    path = tmp_path / "door.jsonl"
    named = [Path(f"{path}.2"), Path(f"{path}.1"), path, tmp_path / "yard.jsonl.1"]
    assert logs_among(named) == [path, tmp_path / "yard.jsonl.1"]


def test_the_command_says_of_every_log_whether_it_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = rotated(tmp_path / "good"), written(tmp_path / "bad", 5)
    bad.write_text(bad.read_text().replace('"label":3,', '"label":4,', 1))
    assert main(["edge", "verify-log", str(good)]) == 0
    assert "whole; " in capsys.readouterr().out
    assert main(["edge", "verify-log", str(bad), str(good), "--json"]) == ArtefactError.exit_code
    printed, said = capsys.readouterr()
    first, second = json.loads(printed)
    assert (first["whole"], first["file"], first["line"]) == (False, str(bad), 3)
    assert (second["whole"], second["frames"]) == (True, summarised(good).frames)
    assert len(said.splitlines()) == 1
