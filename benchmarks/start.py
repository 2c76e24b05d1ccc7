"""CPU time of a fresh process: python -m benchmarks.start [--quick] [--json FILE]

`offramp --help` must not import what it does not need; a camera's program must not import torch, onnx or typer.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from benchmarks.harness import arguments, at_most, report, statistics

PROGRAMS = {
    "python": "pass",
    "offramp --help": "from split_core.cli import main; main(['--help'])",
    "camera": "import edge_runtime.app",
    "worker": "import cloud_runtime.app",
}


def cpu_ms(program: str) -> float:
    """User and system time of `python -c program`, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=True, env={**os.environ})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def main() -> None:
    options = arguments(__doc__)
    rounds = 5 if options.quick else 21
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            times[name].append(cpu_ms(program))
    figures = {name: statistics(samples, "ms") for name, samples in times.items()}
    goals = [at_most("offramp --help, CPU", figures["offramp --help"]["median"] / 1e3, "s", 0.3, "bare python beside")]
    report("start", figures, goals, options)


if __name__ == "__main__":
    main()
