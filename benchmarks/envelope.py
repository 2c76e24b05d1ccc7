"""Does a promise hold, and how soon is it known when not?  python -m benchmarks.envelope [--quick] [--json FILE]

1. how wide the confidence sequence is beside those it was chosen among: hedged capital and predictable plug-in
   empirical Bernstein (Waudby-Smith and Ramdas, 2024), which need a grid of means, or are for graded outcomes;
2. false alarms: streams of audits that disagree exactly as often as is allowed, independent and in runs;
3. detection delay in audits and in frames, for changes at the beginning and after a long good time;
4. the demo's network on Fashion-MNIST, thresholds certified on 5,000 pictures, the others streamed: a bandit within its
   envelope and the same without, before and after the pictures are blurred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandits.build import make_policy
from bandits.change import Exceeds
from bandits.confidence_sequence import ConfidenceSequence
from bandits.envelope import CERTIFIED, Envelope, Pledge
from bandits.guard import Guard, Limits
from bandits.policy import Answer, Context, Costs, Deeper, Observation, Policy, Ship
from benchmarks.calibration import DEMO, demo_traces
from benchmarks.drift_damage import blur
from benchmarks.harness import Goal, arguments, at_least, at_most, report
from partitioner.calibrate.codecs import CodecTable
from partitioner.calibrate.fit import Wishes, fit
from split_core.objective import Objective
from split_core.policy import CodecSection, PolicyFile
from split_core.readings import Reading
from split_core.tensors import FloatArray
from split_core.traces import Traces

ALPHA, LIMIT, SHARE, OFTEN = 0.01, 0.03, 0.02, 0.1
CALIBRATED = 5000
BLURS = (1.0, 1.5)
OBJECTIVE = Objective(mu=0.01)
COSTS = Costs.published(6, per_layer=1.0, offload=6.0, head=0.1)
CONTEXT = Context(tuple(range(7)), True, float("inf"), COSTS)


def hedged(outcomes: FloatArray, alpha: float) -> float:
    """Width of the hedged capital sequence at the end of a stream, to a thousandth."""
    bets = _bets(outcomes, alpha)
    means = np.linspace(1e-3, 1 - 1e-3, 999)[:, None]
    up = np.log1p(np.minimum(bets, 0.5 / means) * (outcomes - means)).sum(axis=1)
    down = np.log1p(-np.minimum(bets, 0.5 / (1 - means)) * (outcomes - means)).sum(axis=1)
    inside = means[np.maximum(up, down) + np.log(0.5) < np.log(1 / alpha), 0]
    return float(inside.max() - inside.min())


def empirical_bernstein(outcomes: FloatArray, alpha: float) -> float:
    """Width of the predictable plug-in empirical Bernstein sequence at the end of a stream."""
    bets = np.minimum(_bets(outcomes, alpha), 0.5)
    mean = np.concatenate([[0.5], _running(outcomes)[0][:-1]])
    psi = (-np.log1p(-bets) - bets) / 4
    return float(2 * (np.log(2 / alpha) + (4 * (outcomes - mean) ** 2 * psi).sum()) / bets.sum())


def _running(outcomes: FloatArray) -> tuple[FloatArray, FloatArray]:
    count = np.arange(1, len(outcomes) + 1)
    mean = (0.5 + np.cumsum(outcomes)) / (count + 1)
    return mean, (0.25 + np.cumsum((outcomes - mean) ** 2)) / (count + 1)


def _bets(outcomes: FloatArray, alpha: float) -> FloatArray:
    count = np.arange(1, len(outcomes) + 1)
    variance = np.concatenate([[0.25], _running(outcomes)[1][:-1]])
    bets: FloatArray = np.sqrt(2 * np.log(2 / alpha) / (variance * count * np.log(count + 1)))
    return bets


def ours(outcomes: FloatArray, alpha: float) -> float:
    sequence = ConfidenceSequence(alpha)
    for outcome in outcomes.tolist():
        sequence.add(outcome)
    return sequence.upper() - sequence.lower()


def widths(streams: int) -> list[dict[str, float]]:
    rng, rows = np.random.default_rng(0), []
    kinds: tuple[Callable[[FloatArray, float], float], ...] = (ours, hedged, empirical_bernstein)
    for mean in (0.02, 0.1):
        for count in (100, 1000, 10_000):
            drawn = [(rng.random(count) < mean).astype(float) for _ in range(streams)]
            found = {kind.__name__: float(np.mean([kind(one, 0.05) for one in drawn])) for kind in kinds}
            rows.append({"mean": mean, "audits": count, **{name: round(width, 4) for name, width in found.items()}})
    return rows


def first_alarm(differs: NDArray[np.bool_], limit: float = LIMIT) -> int | None:
    """After how many audits the promise is called broken."""
    detector = Exceeds(limit, ALPHA)
    return next((n for n, one in enumerate(differs.tolist(), 1) if detector.add(float(one))), None)


def in_runs(rng: np.random.Generator, audits: int) -> NDArray[np.bool_]:
    """Hard times and easy ones of some dozens of audits: disagreement at the limit in the first, none in the others."""
    hard = np.repeat(rng.random(audits // 40 + 1) < 0.5, 40)[:audits]
    return hard & (rng.random(audits) < LIMIT)


def false_alarms(streams: int, audits: int) -> dict[str, float]:
    rng = np.random.default_rng(1)
    at_limit = [first_alarm(rng.random(audits) < LIMIT) for _ in range(streams)]
    runs = [first_alarm(in_runs(rng, audits)) for _ in range(streams)]
    sizes = {"streams": streams, "audits": audits, "frames": round(audits / SHARE)}
    kinds = {"at the limit": at_limit, "in runs": runs}
    return {**sizes, **{kind: sum(one is not None for one in found) / streams for kind, found in kinds.items()}}


def delays(streams: int) -> list[dict[str, float]]:
    """Mean audits until the alarm, counted from the change; disagreement was a half of what is allowed."""
    rng, rows = np.random.default_rng(2), []
    for good in (0, 2000, 20_000):
        for after in (0.06, 0.1, 0.2, 0.5):
            found = []
            for _ in range(streams):
                before = rng.random(good) < LIMIT / 2
                alarm = first_alarm(np.concatenate([before, rng.random(6000) < after]))
                found.append(np.nan if alarm is None else alarm - good)
            mean = float(np.mean(found))
            rows.append({"good": good, "disagree": after, "audits": round(mean), "frames": round(mean / SHARE)})
    return rows


@dataclass(frozen=True)
class Demo:
    """A calibrated policy file, and what the exits say of pictures that it was not calibrated on, by pixels of blur."""

    policy: PolicyFile
    clean: Traces
    blurred: dict[float, Traces]

    @staticmethod
    def made() -> Demo:
        with np.load(DEMO / "fashion-mnist-test.npz") as file:
            images, labels = file["images"].reshape(-1, 28, 28), file["labels"].astype(np.int64)
        rest = slice(CALIBRATED, None)
        traces = replace(demo_traces(images[:CALIBRATED], labels[:CALIBRATED]), bundle_id="0" * 64)
        table, wishes = CodecTable(0, 0.0, ()), Wishes(objective=OBJECTIVE)
        made = fit(traces, wishes, codecs=CodecSection(), table=table, seed=0).policy
        reader = made.reader()
        clean = demo_traces(images[rest], labels[rest]).read_with(reader)
        damaged = {px: demo_traces(blur(px)(images[rest]), labels[rest]).read_with(reader) for px in BLURS}
        return Demo(made, clean, damaged)

    def pledge(self, share: float) -> Pledge:
        """What calibration has certified."""
        floors = tuple(1.1 if one.certified is None else one.certified for one in self.policy.exits[:-1])
        assert self.policy.evidence.target is not None
        return Pledge(self.policy.evidence.target, ALPHA, share, floors)


@dataclass
class Told:
    """Frames of one run: costs, and of early answers whether the full network says the same; NaN elsewhere."""

    cost: list[float]
    agrees: list[float]

    def over(self, frames: slice) -> dict[str, float]:
        agrees = np.array(self.agrees[frames])
        early = ~np.isnan(agrees)
        agreement = float(agrees[early].mean()) if early.any() else float("nan")
        return {
            "agreement": round(agreement, 4),
            "early": round(float(early.mean()), 3),
            "cost": round(float(np.mean(self.cost[frames])), 3),
        }


def rows_of(traces: Traces, order: NDArray[np.int64]) -> Iterator[list[Reading]]:
    for confidence, label in zip(traces.confidence[order].tolist(), traces.prediction[order].tolist(), strict=True):
        yield [Reading(k, one, c) for k, (c, one) in enumerate(zip(confidence, label, strict=True), 1)]


def play(policy: Policy, frames: Iterator[list[Reading]], share: float, rng: np.random.Generator, told: Told) -> None:
    """As a camera does; a share of the early answers is audited."""
    for every in frames:
        plan, readings = policy.begin(CONTEXT), tuple[Reading, ...]()
        while isinstance(action := policy.next(plan, readings), Deeper):
            readings = (*readings, every[plan.heads[len(readings)] - 1])
        depth = readings[-1].exit if readings else 0
        cost = float(COSTS.device[depth] + sum(float(COSTS.head[one.exit]) for one in readings))
        early = isinstance(action, Answer) and action.exit < len(every)
        told.agrees.append(float(readings[-1].label == every[-1].label) if early else np.nan)
        told.cost.append(cost + (float(COSTS.ship[depth]) if isinstance(action, Ship) else 0.0))
        audited = share if early and rng.random() < share else 0.0
        verdict = every[-1] if isinstance(action, Ship) or audited else None
        policy.learn(Observation(plan, readings, action, verdict, cost, audited))


def learner() -> Policy:
    return make_policy("grid", exits=6, rng=np.random.default_rng(0), objective=OBJECTIVE)


def run(policy: Policy, parts: Sequence[Traces], share: float, frames: int, seed: int) -> tuple[Told, list[Any]]:
    """So many frames of each part; and what an envelope said when."""
    rng, told = np.random.default_rng(seed), Told([], [])
    said: list[tuple[int, str]] = []
    for traces in parts:
        for every in rows_of(traces, rng.choice(len(traces.labels), frames)):
            play(policy, iter([every]), share, rng, told)
            crossing = policy.crossing() if isinstance(policy, Envelope) else None
            said += [(len(told.cost), crossing.stage)] if crossing else []
    return told, said


def shifted(demo: Demo, frames: int, share: float, pixels: float) -> dict[str, Any]:
    """The pictures become blurred."""
    envelope = Envelope(learner(), Limits(), exits=6, pledge=demo.pledge(share))
    free = Guard(learner(), Limits(floors=demo.pledge(share).floors), exits=6)
    parts = (demo.clean, demo.blurred[pixels])
    kept, said = run(envelope, parts, share, frames, 0)
    plain, _ = run(free, parts, share, frames, 0)
    before, after = slice(frames // 2, frames), slice(frames + frames // 2, None)
    return {
        "target": demo.pledge(share).target,
        "share": share,
        "pixels": pixels,
        "said": [(at - frames, stage) for at, stage in said],
        "envelope": {"clean": kept.over(before), "blurred": kept.over(after)},
        "certified, not audited": {"clean": plain.over(before), "blurred": plain.over(after)},
    }


def clean_orders(demo: Demo, orders: int, frames: int) -> int:
    """In how many clean streams anything was said."""
    found = 0
    for seed in range(orders):
        envelope = Envelope(learner(), Limits(), exits=6, pledge=demo.pledge(OFTEN))
        run(envelope, [demo.clean] * 2, OFTEN, frames, seed)
        found += envelope.stage != CERTIFIED
    return found


def goals(figures: dict[str, Any]) -> list[Goal]:
    alarms, steps = figures["false_alarms"], figures["delays"]
    ratio = [row["ours"] / row["hedged"] for row in figures["widths"]]
    late = [row["audits"] for row in steps if row["disagree"] == 0.1]
    shift = figures["shift"][-1]
    after = shift["envelope"]["blurred"]["agreement"]
    known = 1.0 if np.isnan(after) else after  # nothing is answered early any more
    return [
        at_most("false alarms at the limit", alarms["at the limit"], "of streams", ALPHA, f"stated, {LIMIT} disagree"),
        at_most("false alarms in runs", alarms["in runs"], "of streams", ALPHA, "stated"),
        at_most("width beside hedged capital", float(np.mean(ratio)), "x", 1.25, "Waudby-Smith and Ramdas (2024)"),
        at_most("delay at 3x the allowed disagreement", max(late), "audits", 500.0, "after up to 20,000 good audits"),
        at_most("clean streams with an alarm", figures["clean"]["alarms"], "of streams", 0.0, "the demo's network"),
        at_least(
            "agreement after a blur of 1.5 px, within the envelope", known, "share", shift["target"], "its target"
        ),
    ]


def main() -> None:
    options = arguments(__doc__)
    quick = options.quick
    demo = Demo.made()
    orders, frames = (3, 4000) if quick else (20, 10_000)
    figures = {
        "alpha": ALPHA,
        "limit": LIMIT,
        "share": SHARE,
        "widths": widths(5 if quick else 50),
        "false_alarms": false_alarms(50 if quick else 300, 5000 if quick else 20_000),
        "delays": delays(5 if quick else 40),
        "shift": [shifted(demo, 10_000 if quick else 40_000, share, px) for share in (SHARE, OFTEN) for px in BLURS],
        "clean": {
            "streams": orders,
            "frames": 2 * frames,
            "share": OFTEN,
            "alarms": clean_orders(demo, orders, frames),
        },
    }
    report("envelope", figures, goals(figures), options)


if __name__ == "__main__":
    main()
