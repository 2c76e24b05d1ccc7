from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from split_core.files import drop_unfinished, write_atomically
from split_core.telemetry.decisions import DecisionLog, read_log
from split_core.telemetry.logs import Lossy
from split_core.telemetry.writability import Writability, may_pass
from tests.split_core.test_decisions import HEADER, FullDisk, record

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_change_is_told_once_and_its_end_once() -> None:
    told: list[str] = []
    file = Writability(told.append)
    file.well()
    for _ in range(3):
        file.refused(FULL)
    file.well()
    file.well()
    assert told == [
        "cannot be written (No space left on device); what comes until it can is counted and lost",
        "is written again",
    ]


def test_a_disk_that_refuses_may_recover_and_a_path_through_a_file_will_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        (tmp_path / "file" / "x").mkdir()
    assert not may_pass(caught.value)
    assert may_pass(FULL)
    assert may_pass(OSError(errno.EROFS, ""))
    with pytest.raises(FileExistsError):
        DecisionLog(tmp_path / "file" / "log", HEADER)


def test_a_decision_log_says_once_that_it_is_not_written_and_once_that_it_is(tmp_path: Path) -> None:
    told: list[str] = []
    log = DecisionLog(tmp_path / "log", HEADER, tell=told.append)
    with FullDisk(0):
        for seq in range(3):
            log.write(record(seq))
            log.flush()
    log.write(record(3))
    log.close()
    assert [line.split(" (")[0] for line in told] == ["cannot be written", "is written again"]
    assert log.lost == 3
    assert [one.seq for one in read_log(tmp_path / "log")] == [3]


def test_a_folder_that_goes_missing_while_a_log_is_written_is_made_again(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "inner" / "log", HEADER)
    (tmp_path / "inner").rmdir()
    log.write(record(0))
    log.close()
    assert [one.seq for one in read_log(tmp_path / "inner" / "log")] == [0]


def test_what_a_writer_that_died_has_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "state.json", b"{}")
    for name in (".state.json.abc.partial", ".other.json.abc.partial"):
        (tmp_path / name).write_text("half")
    drop_unfinished(tmp_path / "state.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.json.abc.partial", "state.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_log_for_people_that_cannot_be_written_is_no_error() -> None:
    with open("/dev/full", "w", buffering=1) as full:
        stream = Lossy(full)
        for _ in range(3):
            assert stream.write("a line\n" * 10_000) == 70_000
            stream.flush()
        with pytest.raises(OSError, match="No space left"):
            full.write("this is what would have happened\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that it can be closed
