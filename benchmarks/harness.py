"""What every benchmark shares: where it ran, paired timing, goals, and how it prints."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = ("numpy", "onnxruntime", "pyzmq", "msgpack", "pydantic", "zstandard", "prometheus-client")
# Set on some test machines to make results repeatable; they make small BLAS calls slower than users see.
PINNED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure of docs/design, section 8.

    Attributes:
        figure: what was measured.
        value, unit: the measurement.
        goal: the number to reach.
        met: is it reached?  A goal not met is printed, and fails nothing.
        against: the peer or the rule that it is measured against.
    """

    figure: str
    value: float
    unit: str
    goal: float
    met: bool
    against: str


def at_most(figure: str, value: float, unit: str, goal: float, against: str) -> Goal:
    """A goal that is met by values below it."""
    return Goal(figure, round(float(value), 4), unit, goal, bool(value <= goal), against)


def at_least(figure: str, value: float, unit: str, goal: float, against: str) -> Goal:
    """A goal that is met by values above it."""
    return Goal(figure, round(float(value), 4), unit, goal, bool(value >= goal), against)


def arguments(description: str | None) -> argparse.Namespace:
    """`--quick` and `--json FILE`; drops settings of the machine that users do not have."""
    return parser_of(description).parse_args()


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The same for a benchmark that takes more than these two."""
    for name in PINNED:
        os.environ.pop(name, None)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there too")
    return parser


def statistics(samples: Sequence[float], unit: str) -> dict[str, Any]:
    """n, minimum, median, 95th and 99th percentile."""
    low, median, p95, p99 = np.percentile(samples, [0, 50, 95, 99])
    return {"n": len(samples), "unit": unit, "min": low, "median": median, "p95": p95, "p99": p99}


def paired(ours: Callable[[], object], peer: Callable[[], object], rounds: int, inner: int) -> dict[str, Any]:
    """Time two calls in turn, A B A B; the ratio is the median over pairs.

    Args:
        ours: called without arguments.
        peer: the same.
        rounds: pairs.
        inner: calls per measurement.

    Returns:
        `ratio` (of medians per pair), then microseconds per call of both.
    """
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for call in (ours, peer):
        _microseconds(call, inner)  # warm up
    for _ in range(rounds):
        times["ours"].append(_microseconds(ours, inner))
        times["peer"].append(_microseconds(peer, inner))
    ratios = np.array(times["ours"]) / np.array(times["peer"])
    return {
        "ratio": float(np.median(ratios)),
        "ours": statistics(times["ours"], "us"),
        "peer": statistics(times["peer"], "us"),
    }


def _microseconds(call: Callable[[], object], inner: int) -> float:
    started_s = time.perf_counter()
    for _ in range(inner):
        call()
    return (time.perf_counter() - started_s) * 1e6 / inner


def report(name: str, figures: dict[str, Any], goals: Sequence[Goal], options: argparse.Namespace) -> None:
    """Print everything as JSON, goals last; also to `--json FILE`."""
    document = {
        "benchmark": name,
        "quick": options.quick,
        "environment": environment(),
        "figures": figures,
        "goals": [asdict(goal) for goal in goals],
    }
    text = json.dumps(document, indent=1, default=float)
    print(text)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + "\n", encoding="utf-8")


def environment() -> dict[str, Any]:
    """Device, versions and commit."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "commit": _commit(),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    folder = Path(__file__).parent
    words = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
