"""A trace out of a decision log: the frames of which every exit's answer is in it.

Those are audits, side observations and frames that ran to the end; what a policy chose to see, not a fair sample, so
whoever replays over them is told how many they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from split_core.errors import TraceError
from split_core.telemetry.decisions import FrameRecord
from split_core.traces import Traces


def traces_of_log(records: Sequence[FrameRecord], path: object = "the log") -> Traces:
    """Readings of the frames that were read whole, labels unknown.

    The number of exits is that of the deepest answer; the last exit's reading may be the cloud's.  Payload bytes are
    left out: a log has those of one cut per frame.

    Args:
        records: of a decision log.
        path: for messages.

    Raises:
        TraceError: no frame was read whole.
    """
    exits = max((max((*r.exits, r.exit)) for r in records), default=0)
    whole = [(*zip(r.labels, r.confidences, strict=True), *_verdict(r, exits)) for r in records]
    rows = [row for row, record in zip(whole, records, strict=True) if len(row) == exits and _all_read(record, exits)]
    if not rows:
        raise TraceError(
            f"{path}: no frame in this log was read at all {exits} exits; record a trace with 'offramp trace', or "
            f"estimate arms from the log itself with --off-policy"
        )
    table = np.array(rows, np.float64)
    labels = np.full(len(rows), -1, np.int64)
    return Traces(table[:, :, 1].clip(0.0, 1.0), table[:, :, 0].astype(np.int64), labels)


def _verdict(record: FrameRecord, exits: int) -> tuple[tuple[int, float], ...]:
    if record.verdict_label < 0 or exits in record.exits:
        return ()
    return ((record.verdict_label, record.verdict_confidence),)


def _all_read(record: FrameRecord, exits: int) -> bool:
    return record.exits[: exits - 1] == tuple(range(1, exits))
