"""A snapshot in words: for the terminal, and for the texts of its picture."""

from __future__ import annotations

import math
from collections.abc import Mapping

from edge_runtime.snapshot.snapshot import Said, Snapshot, Step

WORKERS = {"closed": "answers", "half_open": "is on trial", "open": "does not answer"}


def in_lines(snapshot: Snapshot) -> list[str]:
    """All that a terminal shows of it."""
    spent = ", ".join(f"{part.what} {ms(part.ms)}" for part in snapshot.spent)
    return [
        headline(snapshot),
        story(snapshot),
        *warnings(snapshot),
        plan_of(snapshot),
        *link_of(snapshot),
        *(_stepped(step) for step in snapshot.steps),
        *(_said(one) for one in snapshot.exits),
        f"time: {spent}",
    ]


def _stepped(step: Step) -> str:
    after = f"after exit {step.after}" if step.after else "at first"
    losses = expected(step.losses)
    return f"  {after}: {moved(step)}; {step.why}{f' ({losses})' if losses else ''}"


def _said(one: Said) -> str:
    who = "the worker" if one.when == "worker" else f"exit {one.exit}"
    asked = (
        "" if math.isnan(one.asked) else " (never answers)" if math.isinf(one.asked) else f" of {one.asked:.3g} asked"
    )
    late = ", not computed in the run" if one.when == "afterwards" else ""
    guard = f", guard: {one.marked}" if one.marked else ""
    return f"  {who} says {one.name}, {percent(one.confidence)}{asked}{late}{guard}"


def headline(snapshot: Snapshot) -> str:
    """The answer in one line."""
    return f"{snapshot.about.camera}: {snapshot.name}, {percent(snapshot.confidence)}"


def story(snapshot: Snapshot) -> str:
    """How it was answered, in one line."""
    where = "by the worker" if snapshot.where == "cloud" else f"by exit {snapshot.exit}, on the device"
    sent = f"; {snapshot.payload_bytes:,} bytes were sent from cut {snapshot.cut}" if snapshot.cut >= 0 else ""
    late = ", TOO LATE" if snapshot.late else ""
    return f"answered {where}, after {ms(snapshot.latency_ms)} of {ms(snapshot.deadline_ms)}{late}{sent}"


def warnings(snapshot: Snapshot) -> list[str]:
    """What a person should know, a line each."""
    found = [f"degraded: {snapshot.degraded}"] if snapshot.degraded else []
    found += [f"to be looked at: {snapshot.marked}"] if snapshot.marked else []
    found += [f"drift: {line}; the policy's promises are void" for line in snapshot.drift]
    return found


def plan_of(snapshot: Snapshot) -> str:
    """What was decided before anything was read."""
    arm = f"split {snapshot.arm[0]} at {snapshot.arm[1]:.3g}, " if snapshot.arm else ""
    chance = (
        f"chosen with probability {snapshot.propensity:.3g}" if snapshot.propensity < 1.0 else "nothing left to chance"
    )
    cloud = "may be sent to a worker" if snapshot.cloud else "may not be sent"
    teaches = "" if snapshot.learns else ", teaches nothing"
    splits = snapshot.splits
    reach = f"may stop at {splits[0]} to {splits[-1]}" if splits else "may stop nowhere"
    return f"{snapshot.about.policy}: {arm}{chance}{teaches}; {cloud}; {reach}"


def link_of(snapshot: Snapshot) -> list[str]:
    """How it stood with each worker, a line each."""
    if not snapshot.workers:
        return ["no worker is configured"]
    return [f"worker {name} {WORKERS[state]}" for name, state in snapshot.workers.items()]


def moved(step: Step) -> str:
    """A step in one or two words."""
    return {
        "deeper": f"on to exit {step.target}",
        "answer": f"answer by exit {step.target}",
        "ship": f"ship cut {step.target}" if step.target else "ship the input",
        "late": f"exit {step.target} after all",
    }[step.action]


def expected(losses: Mapping[str, float]) -> str:
    """Expected losses in one line; empty without any."""
    if not losses:
        return ""
    told = ", ".join(f"{name} {loss:.3g}" if math.isfinite(loss) else f"{name} -" for name, loss in losses.items())
    return f"expected loss: {told}"


def percent(confidence: float) -> str:
    """As people read it; never 100 % for what is less."""
    return f"{100 * confidence:.2f} %" if 0.999 <= confidence < 1.0 else f"{100 * confidence:.1f} %"


def ms(value: float) -> str:
    """Milliseconds with three digits at most, where that makes sense."""
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"
