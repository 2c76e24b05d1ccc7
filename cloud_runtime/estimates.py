"""How long segments take, learned from every batch.  Pure.

One segment on one batch is taken to cost `fixed + per_row * rows`, fitted by least squares over an
exponentially weighted past.  A mean per row would not do: learned from single requests, it says that 16
rows take 16 times as long, which is false on a GPU, and refuses requests that would have been in time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

WEIGHT = 0.1  # of a new batch: about the last ten count
DOUBT = 0.98


class SegmentTime:
    """Seconds of one segment as a function of the batch's rows.

    Args:
        seconds: of one row, as measured when the model was loaded.
    """

    def __init__(self, seconds: float) -> None:
        self._rows, self._seconds = 1.0, seconds
        self._variance, self._covariance = 0.0, 0.0

    def record(self, rows: int, seconds: float) -> None:
        """Take in one batch."""
        more_rows, more_seconds = rows - self._rows, seconds - self._seconds
        self._rows += WEIGHT * more_rows
        self._seconds += WEIGHT * more_seconds
        self._variance = (1.0 - WEIGHT) * (self._variance + WEIGHT * more_rows * more_rows)
        self._covariance = (1.0 - WEIGHT) * (self._covariance + WEIGHT * more_rows * more_seconds)

    def doubt(self) -> None:
        """Believe in a little less time."""
        self._seconds *= DOUBT
        self._covariance *= DOUBT

    def of(self, rows: int, batches: int) -> float:
        """Seconds for `rows` in `batches`; with batches of one size only, all of their time counts as fixed."""
        per_row = 0.0
        if self._variance > 1e-9:
            per_row = min(max(self._covariance / self._variance, 0.0), self._seconds / self._rows)
        return batches * (self._seconds - per_row * self._rows) + per_row * rows


class Estimates:
    """Segment times of all bundles.

    Args:
        seconds: per bundle id, seconds of segments 1..K for one row.
        max_batch_rows: rows that run together.
    """

    def __init__(self, seconds: Mapping[str, Sequence[float]], max_batch_rows: int) -> None:
        self._times = {name: [SegmentTime(value) for value in values] for name, values in seconds.items()}
        self._max_batch_rows = max_batch_rows
        self._to_finish: dict[tuple[str, int], float] = {}
        for name in self._times:
            self._sum_up(name)

    def record(self, bundle_id: str, segment: int, rows: int, seconds: float) -> None:
        """Take in one batch of segment 1..K."""
        self._times[bundle_id][segment - 1].record(rows, seconds)
        self._sum_up(bundle_id)

    def doubt(self, bundle_id: str) -> None:
        """A request was refused because of these estimates.

        Times are only learned by running; without this, one slow moment could refuse everything for ever.
        """
        for time in self._times[bundle_id]:
            time.doubt()
        self._sum_up(bundle_id)

    def to_finish_s(self, bundle_id: str, segment: int) -> float:
        """Seconds from `segment` through the last one, for one row that waits for nobody."""
        return self._to_finish[bundle_id, segment]

    def batch_s(self, bundle_id: str, segment: int, rows: int) -> float:
        """Seconds of one batch of one segment."""
        return self._times[bundle_id][segment - 1].of(rows, 1)

    def work_s(self, bundle_id: str, rows_at: Sequence[int]) -> float:
        """Seconds of compute to finish `rows_at[s - 1]` rows that need segment s next, joined on the way."""
        total, rows = 0.0, 0
        for time, entering in zip(self._times[bundle_id], rows_at, strict=True):
            rows += entering
            if rows:
                total += time.of(rows, math.ceil(rows / self._max_batch_rows))
        return total

    def _sum_up(self, bundle_id: str) -> None:
        left_s = 0.0
        times = self._times[bundle_id]
        for segment in range(len(times), 0, -1):
            left_s += times[segment - 1].of(1, 1)
            self._to_finish[bundle_id, segment] = left_s
