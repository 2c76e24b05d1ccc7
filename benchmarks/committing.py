"""What the best fixed arm costs who has to find it: python -m benchmarks.committing [--quick] [--json FILE]

So many frames are run until the full network's answer is known, then the arm that lost least on them is played to the
end: mean loss over 10,000 frames over that of the best arm in hindsight, at the number of looks that is best, in
hindsight too.  A learner that does not know that number can hardly be asked for less, but for what deciding anew gains.
Traces are those of `benchmarks.regret`; --trace names more.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from bandits.loss import LossTable
from bandits.path_model import PathModel
from bandits.policy import Context
from bandits.regret import default_arms
from bandits.sequential.prices import Prices
from benchmarks.harness import parser_of, report
from benchmarks.regret import DEMO_STREAM, NETWORKS, OFFLOADS
from benchmarks.regret_traces import recorded
from benchmarks.sequential import NETWORKS as MADE_UP_NETWORKS
from benchmarks.sequential import OFFLOADS as MADE_UP_OFFLOADS
from benchmarks.sequential import WORLDS, network
from split_core.traces import Traces

FRAMES = 10_000
LOOKS = (0, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


def committed(traces: Traces, model: PathModel, rounds: int) -> tuple[float, int]:
    """Least mean ratio over the numbers of looks, and that number."""
    table, arms, rng = LossTable(traces, model).paths, default_arms(model), np.random.default_rng(0)
    losses = np.stack([table.of(arm) for arm in arms], axis=1)
    prices = Prices.of(Context(model.splits, True, np.inf, model.costs(traces)), model.objective.mu)
    means, samples = losses.mean(axis=0), len(losses)
    found = [(prices.known / means.min(), 0)]  # without a look: what needs no learning
    for looks in LOOKS[1:]:
        seen = [losses[rng.integers(0, samples, looks)].mean(axis=0).argmin() for _ in range(rounds)]
        lost = looks * prices.look + (FRAMES - looks) * means[seen].mean()
        found.append((float(lost / FRAMES / means.min()), looks))
    return min(found)


def _cases(options: argparse.Namespace) -> dict[str, tuple[Traces, PathModel]]:
    cases = {}
    for name, traces in recorded(options.trace).items():
        for whole, share in [(whole, share) for whole in NETWORKS for share in OFFLOADS if traces.exits > 2]:
            model = PathModel.published(traces.exits, per_layer=whole / traces.exits, offload=share * whole)
            cases[f"{name}, network {whole:g}, offload {share:g} of it"] = traces, model
    for name in ("no better than the first", "independent"):
        skill, other = WORLDS[name]
        traces = network(skill, **other)
        for whole, share in [(whole, share) for whole in MADE_UP_NETWORKS for share in MADE_UP_OFFLOADS]:
            model = PathModel.published(len(skill), per_layer=whole / len(skill), offload=share * whole, ship="any")
            cases[f"{name}, network {whole:g}, offload {share:g} of it"] = traces, model
    return cases


def main() -> None:
    """All traces of three exits or more, and two made-up worlds, at all prices."""
    parser = parser_of(__doc__)
    parser.add_argument("--trace", type=Path, action="append", default=[], metavar="FILE", help="of offramp trace")
    options = parser.parse_args()
    options.trace = options.trace or [path for path in (DEMO_STREAM,) if path.exists()]
    found: dict[str, Any] = {}
    for where, (traces, model) in _cases(options).items():
        ratio, looks = committed(traces, model, 50 if options.quick else 400)
        found[where] = {"ratio": round(ratio, 4), "looks": looks}
    report("committing", found, [], options)


if __name__ == "__main__":
    main()
