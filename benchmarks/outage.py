"""Answers in time while the worker or the link is away.

    python -m benchmarks.outage [--quick] [--json FILE] [--seconds 4] [--packets EMULATOR] [--folder FOLDER]

Real processes: a worker, a link, a camera that would send every frame, and beside it, on the same worker, link and
frames, what one would write oneself: a plain timeout with retries, and a plain timeout with an answer here.  Faults
come one after the other; frames are counted from the beginning of a fault to the end of the calm after it.  A program
that loses packets between two network namespaces (given by --packets; as root) repeats it below TCP.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Goal, at_least, at_most, parser_of, report
from benchmarks.outage_site import (
    DEADLINE_MS,
    FPS,
    MARGIN_MS,
    PEERS,
    Packets,
    Relayed,
    Site,
    Spoiled,
    make_files,
    namespaces,
)

QUICK = {"kill -9", "black hole", "30 % of messages lost", "a worker that answers garbage"}
CALM_S = 4.0


@dataclass(frozen=True)
class Fault:
    """One outage, in seconds since 1970.

    Attributes:
        kind: what was done.
        began: when.
        over: when it had ended; a restarted worker listens.
        until: when the next one begins.
    """

    kind: str
    began: float
    over: float
    until: float


def play(site: Site, kinds: Sequence[str], seconds: float) -> tuple[list[Fault], dict[str, Any], dict[str, Path]]:
    """Run cameras through faults; returns the faults, what ours counted itself, and everybody's outcomes."""
    faults, files, moments = site.faults(), site.start_cameras(), list[tuple[str, float, float]]()
    time.sleep(CALM_S)
    for kind in kinds:
        began = time.time()
        faults[kind](seconds)
        moments.append((kind, began, time.time()))
        time.sleep(CALM_S)
    ends = [began for _, began, _ in moments[1:]] + [time.time()]
    summary = site.end()
    return [Fault(*moment, end) for moment, end in zip(moments, ends, strict=True)], summary, files


def read(path: Path) -> list[dict[str, Any]]:
    """Outcomes in the order of their frames; a line that was being written when the process ended is none."""
    lines = path.read_text().splitlines(keepends=True)
    found: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("\n")]
    return sorted(found, key=lambda outcome: outcome["seq"])


def felt(fault: Fault, outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a fault did to one camera.

    Returns:
        Of the frames that were made: the shares answered in time, too late or not at all, and never looked at;
        the 99th percentile of milliseconds; seconds from its end to the first frame that the cloud answered in time.
    """
    until = fault.until - 2 * DEADLINE_MS / 1e3  # the last frames may be under way when it is ended
    mine = [one for one in outcomes if fault.began <= one["captured_at"] < until]
    good = [one for one in mine if one["where"] and one["latency_ms"] <= DEADLINE_MS]
    back = [one["captured_at"] for one in good if one["where"] == "cloud" and one["captured_at"] >= fault.over]
    latencies = sorted(one["latency_ms"] for one in mine)
    made = max(int((until - fault.began) * FPS), len(mine))
    return {
        "in_time": len(good) / made,
        "late_or_none": (len(mine) - len(good)) / made,
        "not_looked_at": 1.0 - len(mine) / made,
        "p99_ms": latencies[int(0.99 * (len(latencies) - 1))] if latencies else float("nan"),
        "recovery_s": min(back) - fault.over if back else float("nan"),
    }


def contract(summary: dict[str, Any], outcomes: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What ours promised, over the whole run."""
    counts = Counter(one["seq"] for one in outcomes)
    return {
        "frames": summary["frames"],
        "dropped_unread": summary["dropped"],
        "without_outcome": summary["frames"] - summary["dropped"] - len(counts),
        "duplicates": len(outcomes) - len(counts),
        "late": sum(one["latency_ms"] > DEADLINE_MS for one in outcomes),
        "degraded": sum(bool(one["degraded"]) for one in outcomes),
    }


def through(make: Callable[[], Site], wanted: Callable[[str], bool], seconds: float) -> dict[str, Any]:
    """All faults of one kind of link."""
    site = make()
    kinds = [kind for kind in site.faults() if wanted(kind)]
    faults, summary, files = play(site, kinds, seconds)
    outcomes = {name: read(path) for name, path in files.items()}
    return {
        "contract": contract(summary, outcomes["ours"]),
        "faults": {fault.kind: {name: felt(fault, told) for name, told in outcomes.items()} for fault in faults},
    }


def goals_of(runs: Sequence[dict[str, Any]]) -> list[Goal]:
    """The promise, and how soon the cloud is used again."""
    goals = [
        at_most(
            name.replace("_", " "), sum(run["contract"][name] for run in runs), "frames", 0, "the deadline contract"
        )
        for name in ("late", "without_outcome", "duplicates")
    ]
    for kind, by in itertools.chain.from_iterable(run["faults"].items() for run in runs):
        share, back = (", ".join(f"{name} {by[name][key]:.2f}" for name in PEERS) for key in ("in_time", "recovery_s"))
        goals.append(at_least(f"answered in time: {kind}", by["ours"]["in_time"], "of all frames", 1.0, share))
        goals.append(at_most(f"cloud used again after {kind}", by["ours"]["recovery_s"], "s", 2.0, back))
    return goals


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="that every fault lasts")
    parser.add_argument("--packets", type=Path, metavar="EMULATOR", help="program between two network namespaces")
    parser.add_argument("--folder", type=Path, help="keep the files of the run here")
    options: argparse.Namespace = parser.parse_args()
    wanted = QUICK.__contains__ if options.quick else lambda _: True
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        bundle = make_files(folder)
        runs = [through(lambda kind=kind: kind(folder, bundle), wanted, options.seconds) for kind in (Relayed, Spoiled)]  # type: ignore[misc]
        if options.packets:
            with namespaces():
                runs.append(through(lambda: Packets(folder, bundle, options.packets), lambda _: True, options.seconds))
    setting = {"fps": FPS, "deadline_ms": DEADLINE_MS, "margin_ms": MARGIN_MS, "seconds": options.seconds}
    report("outage", {"setting": setting, "runs": runs}, goals_of(runs), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
