"""What a decision log and a camera's saved state say of policies, for people and machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from split_core.errors import ArtefactError
from split_core.telemetry.chain import logs_among
from split_core.telemetry.decisions import read_notes
from split_core.telemetry.shadow import ShadowRecord, ShadowTally


def shadow_tallies(logs: Sequence[Path]) -> list[ShadowTally]:
    """One per policy that was in the shadow, in order of appearance.

    Raises:
        ArtefactError: not a decision log, a broken chain, or no policy was in the shadow.
    """
    tallies: dict[str, ShadowTally] = {}
    for log in logs_among(logs):
        for note in read_notes(log, "shadow"):
            record = ShadowRecord.from_json(note)
            tallies.setdefault(record.policy, ShadowTally()).add(record)
    if not tallies:
        raise ArtefactError(
            f"{', '.join(map(str, logs))}: no frame was judged by a policy in the shadow; 'offramp policy promote "
            f"STORE' puts the candidate there, and a running camera whose 'policy' is the store asks it"
        )
    return list(tallies.values())


def shadow_text(tally: ShadowTally) -> str:
    """A table: the shadow beside what was active."""
    told = tally.summary()
    beyond = ", ".join(f"{count} beyond exit {exit}" for exit, count in told["unknown_beyond"].items())
    unknown = f"{_percent(told['unknown'])}: {beyond}" if beyond else _percent(told["unknown"])
    ways = sorted({*told["exits"], *told["active_exits"]}, key=lambda way: (way.startswith("cloud"), way))
    pairs = [
        (f"answered at {way}", *(_percent(told[key].get(way, 0.0)) for key in ("exits", "active_exits")))
        for way in ways
    ]
    pairs += [
        ("mean confidence", _number(told["confidence"]), _number(told["active_confidence"])),
        ("expected cost", _number(told["cost"]), _number(told["active_cost"])),
    ]
    lines = [
        f"shadow {tally.policy}, {tally.frames} frames; its way is unknown for {unknown}",
        f"would be answered elsewhere: {_percent(told['elsewhere'])} of {tally.known} known ways",
        f"same label: {_percent(told['agreement'])} of {tally.labelled} known answers",
        f"{'':<24}{'shadow':>10}{'active':>10}",
        *(f"{name:<24}{shadow:>10}{active:>10}" for name, shadow, active in pairs),
    ]
    return "\n".join(lines)


def shadow_report(logs: Sequence[Path]) -> tuple[list[dict[str, Any]], str]:
    """For machines, for people; see `shadow_tallies`."""
    tallies = shadow_tallies(logs)
    return [tally.summary() for tally in tallies], "\n\n".join(shadow_text(tally) for tally in tallies)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
