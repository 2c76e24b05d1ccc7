"""What the figures say, in sentences computed from them; also when they speak against us."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bandits.report.figures import cost, count, fixed, more_or_less, percent, relative
from bandits.report.names import HINDSIGHT, OURS, TRIVIAL, in_reading_order, mark_of
from bandits.report.result import Figures, Outage, Privacy, Row, Run


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours beside another policy, both measured in the same way."""

    name: str
    how: str  # "live" or "replayed"
    ours: Figures
    theirs: Figures

    @property
    def cheaper(self) -> bool:
        """Does the other policy cost less?  False when either cost is unknown."""
        mine, other = self.ours.mean_cost, self.theirs.mean_cost
        return mine is not None and other is not None and other < mine


def comparisons(run: Run) -> list[Comparison]:
    """Ours against each trivial policy: live against live where both ran, else replay against replay."""
    found = (_comparison(run, name) for name in TRIVIAL)
    return [comparison for comparison in found if comparison is not None]


def _comparison(run: Run, name: str) -> Comparison | None:
    for how, figures_of in (("live", _live), ("replayed", _replayed)):
        ours, theirs = figures_of(run, OURS), figures_of(run, name)
        if ours and theirs:
            # Over the same frames if there is such a pair: other frames are another problem.
            pairs = [(mine, other) for mine in ours for other in theirs]
            pair = next((pair for pair in pairs if pair[0].frames == pair[1].frames), pairs[0])
            return Comparison(name, how, *pair)
    return None


def _rows(run: Run, name: str) -> Iterable[Row]:
    return (row for row in run.policies if row.name == name)


def _live(run: Run, name: str) -> list[Figures]:
    return [row for row in _rows(run, name) if row.live]


def _replayed(run: Run, name: str) -> list[Figures]:
    found = [row.replayed if row.live else row for row in _rows(run, name)]
    return [figures for figures in found if figures is not None]


def cheapest(run: Run) -> Comparison | None:
    """The comparison with the cheapest trivial policy that one could have run, hindsight excluded."""
    known = [other for other in comparisons(run) if other.name != HINDSIGHT and other.theirs.mean_cost is not None]
    return min(known, key=lambda other: other.theirs.mean_cost or 0.0, default=None)


def honest_sentences(run: Run) -> list[str]:
    """One sentence per trivial policy that is cheaper than ours, one when none is, then others that are."""
    return [*_trivial_sentences(run), *(_cheaper_sentence(other) for other in others(run) if other.cheaper)]


def others(run: Run) -> list[Comparison]:
    """Ours against every policy that is neither trivial nor the default: published ones, and the grid."""
    names = in_reading_order(row.name for row in run.policies)
    found = (_comparison(run, name) for name in names if name not in (*TRIVIAL, OURS))
    return [comparison for comparison in found if comparison is not None]


def _trivial_sentences(run: Run) -> list[str]:
    compared = comparisons(run)
    against = [_cheaper_sentence(other) for other in compared if other.cheaper]
    priced = [other for other in compared if other.theirs.mean_cost is not None and other.ours.mean_cost is not None]
    if not priced:  # then none is known to be cheaper either
        return ["No trivial policy was priced in this run, so nothing can be said about beating one."]
    names = ", ".join(mark_of(other.name).label.lower() for other in priced if not other.cheaper)
    if not names:
        return against
    which = "Every other" if against else "Every"
    return [*against, f"{which} trivial policy in this run ({names}) costs at least as much as ours."]


def _cheaper_sentence(other: Comparison) -> str:
    label = mark_of(other.name).label
    less = more_or_less(relative(other.theirs.mean_cost, other.ours.mean_cost))
    sentence = (
        f"{label} is cheaper than ours: {cost(other.theirs.mean_cost)} against {cost(other.ours.mean_cost)} "
        f"per frame ({less}; {_frames(other)}), {_accuracy_clause(other)}."
    )
    if other.name == HINDSIGHT:
        sentence += " It can only be picked after the stream has ended; the difference is the price of learning."
    return sentence


def _frames(other: Comparison) -> str:
    mine, theirs = count(other.ours.frames), count(other.theirs.frames)
    if mine == theirs:
        return f"{other.how}, {mine} frames"
    return f"{other.how}, ours over {mine} frames, it over {theirs}"


def _accuracy_clause(other: Comparison) -> str:
    mine, theirs = other.ours.accuracy, other.theirs.accuracy
    if mine is None or theirs is None:
        return "accuracy unknown"
    points = 100.0 * (theirs - mine)
    if abs(points) < 0.005:
        return f"at the same accuracy of {percent(mine, 2)} %"
    direction = "more" if points > 0 else "less"
    return f"at {fixed(abs(points), 2)} points {direction} accuracy ({percent(theirs, 2)} against {percent(mine, 2)} %)"


def replay_sentence(runs: Iterable[Run]) -> str:
    """How far to believe the replay: the largest differences between live rows and their replays."""
    pairs = [(row, row.replayed) for run in runs for row in run.policies if row.live and row.replayed is not None]
    gaps = [(abs(change), row.name) for row, replay in pairs if (change := _cost_change(row, replay)) is not None]
    if not gaps:
        return "No policy ran live with a replay beside it, so the replayed figures stand unchecked."
    worst, name = max(gaps)
    accuracy = _largest(_difference(row.accuracy, replay.accuracy) for row, replay in pairs)
    offload = _largest(_difference(row.offload_share, replay.offload_share) for row, replay in pairs)
    p95 = _largest(_p95_gap(row, replay) for row, replay in pairs)
    return (
        f"Over the {len(pairs)} rows that ran live and were replayed on the same frames, the "
        f"replayed mean cost is off by at most {percent(worst)} % ({mark_of(name).short}), accuracy by "
        f"{percent(accuracy, 2)} points, the share of offloads by {percent(offload)} points and the p95 latency by "
        f"{percent(p95)} %. Do not read a ranking into replayed costs that lie closer together than {percent(worst)} %."
    )


def _cost_change(row: Row, replay: Figures) -> float | None:
    return relative(replay.mean_cost, row.mean_cost)


def _difference(live: float | None, replayed: float | None) -> float | None:
    return None if live is None or replayed is None else abs(live - replayed)


def _p95_gap(row: Row, replay: Figures) -> float | None:
    if row.latency_ms is None or replay.latency_ms is None:
        return None
    change = relative(replay.latency_ms.p95, row.latency_ms.p95)
    return None if change is None else abs(change)


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def privacy_sentence(privacy: Privacy) -> str:
    """What it costs that pixels never leave the device."""
    change = None if privacy.extra_cost_pct is None else privacy.extra_cost_pct / 100.0
    return (
        f"When pixels may not leave the device (only hidden states are shipped), a frame under "
        f"{mark_of(privacy.policy).short} costs {more_or_less(change)}: {cost(privacy.mean_cost_hidden)} "
        f"instead of {cost(privacy.mean_cost_any)}, with {fixed(privacy.kb_hidden, 2)} instead of "
        f"{fixed(privacy.kb_any, 2)} KB per frame on the link.{_without_learning(privacy)}"
    )


def _without_learning(privacy: Privacy) -> str:
    change = relative(privacy.best_fixed_hidden, privacy.best_fixed_any)
    if change is None:
        return ""
    return (
        f" Both figures hold the price of learning; between the best fixed arms it is {more_or_less(change)}: "
        f"{cost(privacy.best_fixed_hidden)} instead of {cost(privacy.best_fixed_any)}."
    )


def _sent(outage: Outage) -> str:
    if not outage.policy:
        return ""
    return f" Policy of this run: {mark_of(outage.policy).label.lower()}."


def outage_sentence(outage: Outage) -> str:
    """Did every frame get exactly one outcome in time?"""
    frames, outcomes, duplicates = outage.frames, outage.outcomes, outage.duplicates
    if frames is None or outcomes is None or duplicates is None:
        return "The outage run did not count its outcomes."
    promise = "Every frame got exactly one outcome"
    dropped = outage.dropped or 0
    if dropped:
        promise = f"Every frame but {count(dropped)} that a newer one replaced unread got exactly one outcome"
    if frames != outcomes + dropped or duplicates:
        promise = (
            f"The promise of one outcome per frame was broken: {count(outcomes)} outcomes for {count(frames)} frames, "
            f"{count(duplicates)} of them duplicates"
        )
    missed = outage.deadline_misses
    late = "none after its deadline" if missed == 0 else f"{count(missed)} after the deadline"
    return (
        f"{promise}, {late}; {count(outage.degraded)} of {count(frames)} answers are degraded, that is the device's "
        f"best guess, marked as such.{_sent(outage)}"
    )
