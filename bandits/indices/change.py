"""Forgetting on evidence: when the rewards of any arm have changed, everything from before is forgotten.

Each arm's rewards are watched by ADWIN (Bifet and Gavalda 2007, "Learning from time-changing data with adaptive
windowing"): the window is cut where the means of its two sides differ by more than chance allows,

    |mean_0 - mean_1| > sqrt(2 V L / m) + 2 b L / (3 m),    1/m = 1/n_0 + 1/n_1,    L = ln(2 n / false_alarm)

with V the window's variance and b the rewards' range.  A cut in one arm forgets, in all arms, what is older:
resetting all at once is the ADR-bandit of Komiyama, Fouche and Honda (arXiv 2107.11419), which is nearly optimal
when changes are global, as a new scene or a new price is, without any forced exploration.

Chosen over GLR-klUCB (Besson et al. 2022), M-UCB (Cao et al. 2019) and CUSUM-UCB (Liu et al. 2018): it knows the
variance, and the rewards here vary far less than their range (a Bernoulli GLR needs ten times as many frames), it has
no length or size of change to tune, and it keeps what came after the change.

Between changes rewards must be like independent draws: where frames come in long runs of like ones, runs are changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bandits import params, saved
from bandits.indices.statistics import Statistics
from split_core.errors import PolicyFileError

# Buckets of each size; a window of n rewards takes about PER_SIZE * log2(n) of them.
PER_SIZE = 5
# An arm is looked at once in so many of its rewards.
CHECK_EVERY = 32


class Bucket(NamedTuple):
    """Consecutive rewards of one arm: how many, their sums, and the choice after which the first of them came."""

    rewards: float
    total: float
    squares: float
    since: float


class Change:
    """Forgets what is older than a change that was found in the rewards of any arm.

    A change is seen in arms that are played: one that only makes an arm better that is never played is not.

    Args:
        arms: how many.
        false_alarm: probability of a cut, per arm and look, where nothing has changed; in fact far lower.
        range: lowest and highest reward.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, *, arms: int, false_alarm: float = 0.002, range: Sequence[float] = (-1.0, 1.0)) -> None:
        self._false_alarm = params.number("false_alarm", false_alarm, 1e-12, 0.5)
        self._low, self._high = params.interval("range", range)
        self._buckets: list[list[Bucket]] = [[] for _ in [None] * arms]
        self._unchecked = [0.0] * arms
        self._clock = 0.0

    def chose(self, statistics: Statistics) -> None:
        """See `bandits.indices.forgetting.Forgetting`."""
        self._clock += 1.0
        statistics.choices += 1.0

    def add(self, statistics: Statistics, arm: int, reward: float) -> None:
        """Take in one reward; now and then, look whether the arm has changed."""
        statistics.add(arm, reward)
        buckets = self._buckets[arm]
        buckets.append(Bucket(1.0, reward, reward * reward, self._clock))
        _merge(buckets)
        self._unchecked[arm] += 1.0
        if self._unchecked[arm] >= CHECK_EVERY:
            self._unchecked[arm] = 0.0
            kept = first_after_change(buckets, span=self._high - self._low, false_alarm=self._false_alarm)
            if kept:
                self._forget_before(buckets[kept].since, statistics)

    def _forget_before(self, since: float, statistics: Statistics) -> None:
        """Keep what came at `since` or later, and count choices from there."""
        self._buckets = [[bucket for bucket in buckets if bucket.since >= since] for buckets in self._buckets]
        statistics.choices = self._clock - since + 1.0
        statistics.replace(*(list(column) for column in zip(*map(_added_up, self._buckets), strict=True)))

    def state(self) -> dict[str, Any]:
        """The buckets of every arm, oldest first."""
        return {
            "clock": self._clock,
            "unchecked": list(self._unchecked),
            "buckets": [[number for bucket in buckets for number in bucket] for buckets in self._buckets],
        }

    def restored(self, state: Mapping[str, Any], policy: str) -> Change:
        """See `bandits.indices.forgetting.Forgetting`."""
        arms, rows = len(self._buckets), state.get("buckets")
        found = Change(arms=arms, false_alarm=self._false_alarm, range=(self._low, self._high))
        found._clock = saved.number(state, "clock", policy, least=0.0)
        found._unchecked = saved.numbers(state, "unchecked", arms, policy, least=0.0)
        if not isinstance(rows, list) or len(rows) != arms:
            raise PolicyFileError(f"saved state of policy {policy!r}: buckets must be {arms} lists of numbers")
        found._buckets = [_buckets(row, policy) for row in rows]
        return found


def first_after_change(buckets: Sequence[Bucket], *, span: float, false_alarm: float) -> int:
    """Which bucket is the first after the likeliest change; 0 when there is none.

    Of all cuts that chance does not explain it is the one that exceeds it most; ADWIN drops the oldest bucket and looks
    again, which ends nearly there.
    """
    count, total, squares = _added_up(buckets)
    variance = max(0.0, squares / count - (total / count) ** 2)
    log = math.log(2.0 * count / false_alarm)
    before = total_before = most = 0.0
    found = 0
    for place, bucket in enumerate(buckets[:-1], 1):
        before, total_before = before + bucket.rewards, total_before + bucket.total
        after = count - before
        per_m = log * (1.0 / before + 1.0 / after)
        gap = abs(total_before / before - (total - total_before) / after)
        excess = gap - math.sqrt(2.0 * variance * per_m) - 2.0 * span * per_m / 3.0
        if excess > most:
            most, found = excess, place
    return found


def _added_up(buckets: Iterable[Bucket]) -> tuple[float, float, float]:
    count = total = squares = 0.0
    for bucket in buckets:
        count, total, squares = count + bucket.rewards, total + bucket.total, squares + bucket.squares
    return count, total, squares


def _merge(buckets: list[Bucket]) -> None:
    """Merge the two oldest of a size that there are too many of, from the newest size up."""
    last, size = len(buckets), 1.0
    while True:
        first = last
        while first > 0 and buckets[first - 1].rewards == size:
            first -= 1
        if last - first <= PER_SIZE:
            return
        older, newer = buckets[first], buckets[first + 1]
        merged = Bucket(2.0 * size, older.total + newer.total, older.squares + newer.squares, older.since)
        buckets[first : first + 2] = [merged]
        last, size = first + 1, 2.0 * size


def _buckets(row: Any, policy: str) -> list[Bucket]:
    whole = len(row) - len(row) % 4 if isinstance(row, list) else 0
    numbers = saved.numbers({"buckets": row}, "buckets", whole, policy)
    found = [Bucket(*numbers[place : place + 4]) for place in range(0, whole, 4)]
    if any(bucket.rewards < 1.0 for bucket in found):
        raise PolicyFileError(f"saved state of policy {policy!r}: buckets must each count a reward")
    return found
