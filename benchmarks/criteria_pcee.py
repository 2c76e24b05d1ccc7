"""PCEE's claim: a larger network with exits is better than a smaller one without at equal compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.criteria_data import Setting
from benchmarks.harness import Goal, at_least
from partitioner.calibrate.exit_rule import exit_of
from partitioner.calibrate.pcee import pcee_ws
from partitioner.calibrate.record import raw_reader
from split_core.traces import Traces

TARGETS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99)


def pcee_rows(setting: Setting) -> list[dict[str, float]]:
    """What PCEE-WS's thresholds give for several targets, fitted on one half and told on the other."""
    fitted, tested = (part.read_with(raw_reader(part.exits)) for part in (setting.fitted, setting.tested))
    rows = []
    for target in TARGETS:
        thresholds = pcee_ws(fitted, target)
        here, there = (spent(part, exit_of(part.confidence, thresholds), setting) for part in (fitted, tested))
        rows.append({"target": target, "compute on the other half": here["compute"], **there})
    return rows


def spent(traces: Traces, exits: NDArray[np.int64], setting: Setting) -> dict[str, float]:
    """Mean compute and accuracy when these exits answer."""
    right = traces.correct[np.arange(traces.samples), exits]
    return {"compute": float(setting.together[exits].mean()), "accuracy": float(right.mean())}


def claimed(rows: Sequence[dict[str, float]], networks: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """For each network without exits, the highest target that needs no more compute than it."""
    found = []
    for name, network in networks.items():
        fitting = [row for row in rows if row["compute on the other half"] <= network["compute"]]
        if fitting:
            best = max(fitting, key=lambda row: row["target"])
            found.append(
                {"network": name, "its compute": network["compute"], "its accuracy": network["accuracy"], **best}
            )
    return found


def claim_goals(claims: Sequence[dict[str, Any]]) -> list[Goal]:
    """The network with exits is more accurate at equal compute."""
    return [
        at_least(
            f"exits at the compute of {one['network']}, accuracy",
            100 * one["accuracy"],
            "%",
            100 * one["its accuracy"],
            f"{one['network']} without exits; {100 * one['compute']:.0f} against {100 * one['its compute']:.0f} %",
        )
        for one in claims
    ]


def verdict(figures: dict[str, Any]) -> str:
    """The claim in words."""
    if not figures["claim"]:
        return "no target of PCEE needs as little compute as any of these networks"
    won = [one["network"] for one in figures["claim"] if one["accuracy"] > one["its accuracy"]]
    if len(won) == len(figures["claim"]):
        return "PCEE's claim holds here: at no more compute the network with exits is the more accurate one every time"
    against = ", ".join(one["network"] for one in figures["claim"] if one["network"] not in won)
    return f"PCEE's claim does not hold here against: {against}"


def claim_table(figures: dict[str, Any]) -> Table:
    """PCEE's claim: a larger network with exits against smaller ones without, at no more compute."""
    table = Table(title="one network with exits against others without", caption=verdict(figures))
    for column in ("without exits", "compute, %", "accuracy, %", "target", "with exits: compute, %", "accuracy, %"):
        table.add_column(column, justify="left" if column == "without exits" else "right")
    for one in figures["claim"]:
        numbers = (one["its compute"], one["its accuracy"], one["target"], one["compute"], one["accuracy"])
        table.add_row(one["network"], *(f"{100 * number:.1f}" for number in numbers))
    return table
