from __future__ import annotations

import os
import resource
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from split_core.errors import ArtefactError
from split_core.telemetry.background import BackgroundWriter
from split_core.telemetry.chain import DamagedLine, chained
from split_core.telemetry.decisions import DecisionLog, FrameRecord, read_log
from split_core.telemetry.log_summary import summarised

LIMIT_S = 10.0
HEADER = {"bundle": "b" * 64, "policy": "p" * 64, "profile": "door"}


def record(seq: int) -> FrameRecord:
    return FrameRecord(
        seq=seq, captured_s=seq / 10, arm=(2, 0.8), propensity=0.5, exits=(1, 2), labels=(3, 3), confidences=(0.4, 0.9),
        where="edge", exit=2, label=3, confidence=0.9, degraded="", shipped=-1, payload_bytes=0, verdict_label=-1,
        verdict_confidence=0.0, latency_ms=5.0, device_ms=4.0, encode_ms=0.0, link_ms=0.0, cloud_ms=0.0, cost=1.5,
    )  # fmt: skip


def written(path: Path, count: int, first: int = 0, **bounds: int) -> Path:
    log = DecisionLog(path, HEADER, **bounds)
    for seq in range(first, first + count):
        log.write(record(seq))
    log.close()
    assert log.lost == 0
    return path


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log", HEADER)
    records = [record(1), replace(record(2), arm=None, cost=None, exits=(), labels=(), confidences=())]
    for item in records:
        log.write(item)
    log.close()
    assert list(read_log(tmp_path / "log")) == records
    assert len(list(chained(tmp_path / "log"))) == 3  # with the header


def test_a_probability_that_was_left_for_later_is_worked_out_by_the_logs_own_thread(tmp_path: Path) -> None:
    log, threads = DecisionLog(tmp_path / "log", HEADER), []

    def chance() -> float:
        threads.append(threading.current_thread().name)
        return 0.25

    log.write(replace(record(1), propensity=chance))
    log.close()
    assert threads == ["decision-log"]
    assert list(read_log(tmp_path / "log")) == [replace(record(1), propensity=0.25)]


def test_a_changed_line_breaks_the_chain_and_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 5)
    lines = path.read_text().splitlines(keepends=True)
    lines[3] = lines[3].replace('"label":3', '"label":4')
    path.write_text("".join(lines))
    with pytest.raises(ArtefactError, match="line 5: the hash chain is broken"):
        list(chained(path))


def test_a_removed_line_breaks_the_chain(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 5)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2] + lines[3:]))
    with pytest.raises(ArtefactError, match="line 3"):
        list(read_log(path))


def test_swapped_lines_break_the_chain(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 5)
    lines = path.read_text().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    path.write_text("".join(lines))
    with pytest.raises(ArtefactError, match="line 3"):
        list(chained(path))


@pytest.mark.parametrize("text", ["no log\n", "[1]\n", "{}\n", "[1, 2, 3]\n"])
def test_what_is_no_log_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises(ArtefactError, match="not a decision log"):
        list(read_log(tmp_path / "log"))


def test_a_second_run_goes_on_with_the_chain(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 3)
    head = summarised(path).head
    written(path, 2, first=3)
    assert [item.seq for item in read_log(path)] == [0, 1, 2, 3, 4]
    found = summarised(path, head)
    assert (found.starts, found.headers, found.lines) == (2, 2, 7)


def test_a_line_that_a_power_cut_left_unfinished_costs_that_line_only(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 3)
    path.write_bytes(path.read_bytes()[:-20])
    assert [item.seq for item in read_log(path)] == [0, 1]
    written(path, 2, first=3)
    assert [item.seq for item in read_log(path)] == [0, 1, 3, 4]


def test_rotation_keeps_a_bounded_number_of_whole_files(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 60, max_bytes=2000, keep=2)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["log", "log.1", "log.2"]
    longest = max(len(line) for name in files for line in (tmp_path / name).read_bytes().splitlines(keepends=True))
    assert all((tmp_path / name).stat().st_size < 2000 + longest for name in files)
    kept = [item.seq for item in read_log(path)]
    assert len(kept) > 10
    assert kept == list(range(60 - len(kept), 60))


def test_fewer_rotated_files_may_be_kept_than_before(tmp_path: Path) -> None:
    written(tmp_path / "log", 60, max_bytes=2000, keep=4)
    path = written(tmp_path / "log", 60, first=60, max_bytes=2000, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1"]
    assert summarised(path).frames == len(list(read_log(path))) > 5


def test_a_place_that_cannot_be_written_counts_what_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.mkdir()
    log = DecisionLog(path, HEADER)
    log.write(record(1))
    log.close()
    assert log.lost == 1


class FullDisk:
    """A disk on which `os`-level files stop at `room` bytes, through the limit that the kernel has for a process."""

    def __init__(self, room: int) -> None:
        self._room, self._before = room, resource.getrlimit(resource.RLIMIT_FSIZE)

    def __enter__(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._room, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


def test_a_full_disk_costs_what_comes_meanwhile_and_the_chain_says_how_many_that_were(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 5)
    log = DecisionLog(path, HEADER)
    with FullDisk(path.stat().st_size + 700):  # room for the header, not for what comes with it
        for seq in range(5, 9):
            log.write(record(seq))
        log.flush()
        assert log.lost == 4
        assert len(list(read_log(path))) == 5  # and nothing half-written behind them
    log.write(record(9))
    log.close()
    assert [item.seq for item in read_log(path)] == [0, 1, 2, 3, 4, 9]
    assert summarised(path).lost == log.lost == 4


def test_a_new_policy_that_was_named_while_the_disk_was_full_is_named_as_soon_as_it_is_not(tmp_path: Path) -> None:
    path = written(tmp_path / "log", 5)
    log = DecisionLog(path, HEADER)
    with FullDisk(path.stat().st_size):
        log.begin({"policy": "q" * 64})
        log.write(record(5))
        log.flush()
    log.write(record(6))
    log.close()
    assert summarised(path).ids == {"policy": "q" * 64}


def test_a_log_that_somebody_moves_away_goes_on_with_its_chain(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = DecisionLog(path, HEADER)
    log.write(record(0))
    log.flush()
    path.rename(tmp_path / "log.1")
    log.write(record(1))
    log.close()
    assert [item.seq for item in read_log(path)] == [0, 1]
    (tmp_path / "log.1").unlink()
    with pytest.raises(DamagedLine, match="expected 1 more files"):
        summarised(path)


def test_a_log_that_somebody_cuts_while_it_is_written_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = DecisionLog(path, HEADER)
    for seq in range(3):
        log.write(record(seq))
    log.flush()
    os.truncate(path, path.stat().st_size - 10)
    log.write(record(3))
    log.close()
    with pytest.raises(DamagedLine, match="line 4: the hash chain is broken"):
        list(read_log(path))


def test_a_full_queue_loses_counts_and_never_blocks() -> None:
    entered, go_on = threading.Event(), threading.Event()
    taken: list[int] = []

    def slowly(items: list[int]) -> None:
        entered.set()
        assert go_on.wait(LIMIT_S)
        taken.extend(items)

    writer: BackgroundWriter[int] = BackgroundWriter(slowly, "test", capacity=5)
    writer.put(0)
    assert entered.wait(LIMIT_S)
    for item in range(1, 21):
        writer.put(item)  # the thread is busy: a put that waited would wait for ever
    assert writer.lost == 15
    go_on.set()
    writer.close()
    assert taken == [0, 1, 2, 3, 4, 5]


def test_a_writer_that_hangs_ends_in_bounded_time_and_what_it_did_not_write_is_lost() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hanging(_: list[int]) -> None:
        entered.set()
        assert go_on.wait(LIMIT_S)

    writer: BackgroundWriter[int] = BackgroundWriter(hanging, "test")
    assert writer.put(0)
    assert entered.wait(LIMIT_S)
    assert writer.put(1)
    assert not writer.close(within_s=0.01)
    assert writer.lost == 2
    go_on.set()
    assert not writer.close()  # it has ended meanwhile: nothing is counted twice, and what was given up stays lost
    assert writer.lost == 2
