"""Lines of a decision log, as a run of real processes would have left them."""

from __future__ import annotations

from typing import Any

from split_core.telemetry.decisions import FrameRecord


def record(**known: Any) -> FrameRecord:
    """One frame of a log; what is not given does not matter to a fit."""
    values: dict[str, Any] = {
        "seq": 0, "captured_s": 0.0, "arm": None, "propensity": 1.0, "exits": (1,), "labels": (0,),
        "confidences": (0.5,), "where": "edge", "exit": 1, "label": 0, "confidence": 0.5, "degraded": "", "shipped": -1,
        "payload_bytes": 0, "verdict_label": -1, "verdict_confidence": 0.0, "latency_ms": 0.0, "device_ms": 0.0,
        "encode_ms": 0.0, "link_ms": 0.0, "cloud_ms": 0.0, "cost": None,
    }  # fmt: skip
    return FrameRecord(**{**values, **known})


def shipped(payload_bytes: int, link_ms: float, **known: Any) -> FrameRecord:
    """A frame that the cloud answered: 11 ms on the device, 1 to pack, 4 of the worker, .75 of ours."""
    return record(
        where="cloud", shipped=1, payload_bytes=payload_bytes, link_ms=link_ms, device_ms=11.0, encode_ms=1.0,
        cloud_ms=4.0, latency_ms=11.0 + 1.0 + 4.0 + link_ms + 0.75, **known,
    )  # fmt: skip
