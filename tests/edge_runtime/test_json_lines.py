"""JSON lines in files, and what a configuration may say of sinks."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.config import EdgeConfig
from edge_runtime.sinks.json_lines import JsonLines
from edge_runtime.sinks.opening import open_sinks
from edge_runtime.sinks.sink import close_all
from split_core.config import parsed
from split_core.errors import ConfigError
from tests.sink_peers import outcome

NEVER = threading.Event()


def seqs(*paths: Path) -> list[int]:
    return [json.loads(line)["seq"] for path in paths for line in path.read_text().splitlines()]


def put(sink: JsonLines, several: Sequence[int]) -> dict[str, int]:
    return dict(sink.deliver([outcome(seq) for seq in several], NEVER))


def test_a_file_that_is_long_is_put_aside_and_the_oldest_goes(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "answers.jsonl"
    sink = JsonLines(path=str(path), max_bytes=500, keep=2, tell=print)
    for first in range(0, 40, 4):
        assert put(sink, range(first, first + 4)) == {}
    assert sorted(one.name for one in path.parent.iterdir()) == ["answers.jsonl", "answers.jsonl.1", "answers.jsonl.2"]
    assert seqs(path.with_name("answers.jsonl.2"), path.with_name("answers.jsonl.1"), path) == list(range(28, 40))


def test_a_file_that_somebody_moved_away_is_begun_anew(tmp_path: Path):
    path, old = tmp_path / "answers.jsonl", tmp_path / "old.jsonl"
    sink = JsonLines(path=str(path), tell=print)
    put(sink, [1])
    path.rename(old)
    put(sink, [2])
    assert (seqs(old), seqs(path)) == ([1], [2])


def test_a_reader_that_went_away_costs_outcomes_and_is_said_once(capfd: pytest.CaptureFixture[str]):
    told: list[str] = []
    sink = JsonLines(tell=told.append)
    reader, writer = os.pipe()
    kept = os.dup(1)
    try:
        os.dup2(writer, 1)
        os.close(reader)
        lost = [put(sink, [1, 2]), put(sink, [3])]
    finally:
        os.dup2(kept, 1)
        os.close(writer)
        os.close(kept)
    assert lost == [{"unwritable": 2}, {"unwritable": 1}]
    assert len(told) == 1
    assert put(sink, [4]) == {}
    assert json.loads(capfd.readouterr().out)["seq"] == 4
    assert len(told) == 2


def config(outcomes: Any) -> EdgeConfig:
    usual = {"bundle": "b", "policy": "p", "profile": "q", "source": {"kind": "array"}}
    return parsed({**usual, "outcomes": outcomes}, EdgeConfig, "edge.yaml")


@pytest.mark.parametrize(
    ("outcomes", "names"),
    [
        ("-", ["jsonl"]),
        ("", []),
        ([], []),
        ({"kind": "callback", "function": print}, ["callback"]),
        (
            [{"kind": "jsonl"}, {"kind": "callback", "function": print}, {"kind": "jsonl"}],
            ["jsonl", "callback", "jsonl-2"],
        ),
    ],
)
def test_sinks_may_be_a_text_one_or_several_and_each_has_a_name(outcomes: Any, names: list[str]):
    sinks = open_sinks(config(outcomes), lambda *_: None)
    close_all(sinks)
    assert [sink.name for sink in sinks] == names


@pytest.mark.parametrize("outcomes", [7, [7], [{}], [{"kind": "jsonl", "queue": 0}], [{"kind": "jsonl", "only": []}]])
def test_what_is_no_sink_is_one_line(outcomes: Any):
    with pytest.raises(ConfigError, match="outcomes") as caught:
        config(outcomes)
    assert "\n" not in str(caught.value)
