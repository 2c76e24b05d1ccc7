"""The wall clock may jump: a device without a battery begins in 1970, and NTP sets it while frames are on their way."""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter
from pathlib import Path

import yaml

import bandits
import cloud_runtime
import edge_runtime
import split_core
from split_core.demo.processes import Background
from split_core.telemetry.log_summary import summarised
from tests.system.test_edge import Site
from tests.system.test_edge import site as site  # a fixture

JUMPS = """
import itertools, time
real, jumps = time.time, itertools.cycle((0.0, 1e8, -1.7e9, 3.15e7))
time.time = lambda: real() + next(jumps)
from split_core.cli import entry
entry()
"""

# Where the wall clock is read, how often, and why that decides nothing.
READ_BY_PEOPLE = {
    "split_core/pointers.py": "history: when a pointer was moved",
    "split_core/telemetry/decisions.py": "header of the decision log: when it was begun",
    "edge_runtime/frames/ticket.py": "outcome: when its frame was captured, told and not compared",
    "edge_runtime/checks/forwarder.py": "a kept frame: when it was captured, told and not compared",
    "edge_runtime/sinks/http_post.py": "a peer's Retry-After may be a date; what follows is bounded to an hour",
}
CLOCKS = {("time", "time"), ("time", "localtime"), ("time", "gmtime"), ("datetime", "now"), ("datetime", "utcnow")}


def reads_the_wall_clock(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in CLOCKS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def test_the_wall_clock_is_read_where_people_read_it_and_nowhere_else() -> None:
    folders = [Path(str(package.__file__)).parent for package in (split_core, bandits, edge_runtime, cloud_runtime)]
    found = [
        path.relative_to(folder.parent)
        for folder in folders
        for path in folder.rglob("*.py")
        if reads_the_wall_clock(path)
    ]
    assert {path.as_posix() for path in found} == {*READ_BY_PEOPLE}, "decide with a monotonic clock; see READ_BY_PEOPLE"


def test_a_wall_clock_that_jumps_by_years_at_every_look_changes_no_outcome(site: Site) -> None:
    jumping = [sys.executable, "-c", JUMPS]
    cloud = {
        "listen": "tcp://127.0.0.1:0",
        "bundles": [str(site.bundle)],
        "curve": {"secret_key": str(site.folder / "worker.key_secret")},
    }
    (site.folder / "cloud.yaml").write_text(yaml.safe_dump(cloud))
    ready, answers = site.folder / "worker-ready.json", site.folder / "outcomes.jsonl"
    words = ["cloud", str(site.folder / "cloud.yaml"), "--ready-file", str(ready)]
    worker = Background(words, site.folder / "worker.log", ready_file=ready, program=jumping)
    try:
        # As many as a busy worker can take: those that find 32 under way are answered here.
        source = {"kind": "array", "every": True, "fps": 50, "options": {"path": str(site.folder / "images.npz")}}
        outcomes = [{"kind": "jsonl", "path": str(answers)}]
        config = site.config(worker.ready["address"], source=source, outcomes=outcomes, audit={"share": 0.5})
        (site.folder / "edge.yaml").write_text(yaml.safe_dump(config))
        camera = Background(["edge", "run", str(site.folder / "edge.yaml")], site.folder / "edge.log", program=jumping)
        try:
            camera.wait(60.0)
        finally:
            camera.end()
    finally:
        worker.end()
    told = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len({int(one["captured_at"] // 1e7) for one in told}) > 2  # it did jump
    assert sorted(one["seq"] for one in told) == list(range(len(site.images)))
    assert not [one for one in told if one["late"] or not 0.0 < one["latency_ms"] < 10_000.0]
    where = Counter((one["where"], one["degraded"]) for one in told)
    assert where["cloud", ""] > 0.8 * len(told), where
    assert summarised(site.folder / "decisions.jsonl").frames == len(told)
