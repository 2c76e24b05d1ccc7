"""Lines of a decision log, as a run of real processes would have left them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from bandits.path_model import PathModel
from bandits.policy import Arm
from split_core.policy import BanditSection, ExitSection, ObjectiveSection, PolicyFile
from split_core.profiles import Device, HwProfile, Payload, Timing
from split_core.telemetry.decisions import FrameRecord
from split_core.traces import Traces


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


def walked(model: PathModel, traces: Traces, sample: int, arm: Arm, *, residual_ms: float = 0.0) -> FrameRecord:
    """What a camera would log of row `sample` under `arm`, if the world were exactly `model`, without a deadline."""
    depth, heads = arm.split, (arm.split,) if arm.split else ()
    device_ms = model.device_ms[depth] + sum(model.head_ms[k] for k in heads)
    said, confident = traces.prediction[sample], traces.confidence[sample]
    known: dict[str, Any] = {
        "seq": sample, "arm": (arm.split, arm.threshold), "exits": heads, "device_ms": device_ms,
        "labels": tuple(int(said[k - 1]) for k in heads), "confidences": tuple(float(confident[k - 1]) for k in heads),
    }  # fmt: skip
    if depth and (depth == model.exits or confident[depth - 1] >= arm.threshold):
        latency_ms = model.frame_ms + device_ms
        return record(
            **known, **_answer(traces, sample, depth), latency_ms=latency_ms, cost=model.objective.cost(latency_ms)
        )
    cut = model.paths(traces).payload[depth]
    payload_bytes = int(traces.payload_bytes[sample, cut])
    link_ms = model.link_base_ms + model.link_ms_per_kb * payload_bytes / 1000 + residual_ms
    parts = {
        "device_ms": device_ms,
        "encode_ms": model.encode_ms[cut],
        "link_ms": link_ms,
        "cloud_ms": model.cloud_ms[cut],
    }
    latency_ms = model.frame_ms + model.result_ms + sum(parts.values())
    cost = model.objective.cost(latency_ms, payload_bytes=payload_bytes, cloud_ms=model.cloud_ms[cut])
    final = _answer(traces, sample, model.exits)
    return record(
        **{**known, **parts, **final}, where="cloud", shipped=cut, payload_bytes=payload_bytes,
        verdict_label=final["label"], verdict_confidence=final["confidence"], latency_ms=latency_ms, cost=cost,
    )  # fmt: skip


def _answer(traces: Traces, sample: int, exit: int) -> dict[str, Any]:
    label, confidence = traces.prediction[sample, exit - 1], traces.confidence[sample, exit - 1]
    return {"exit": exit, "label": int(label), "confidence": float(confidence)}


def profile_of(model: PathModel) -> HwProfile:
    """A profile whose device is that of `model`."""
    device = Device(machine="test", cores=1, python="3", numpy="1", backend="none", backend_version="0", threads=1)
    return HwProfile(
        name="test",
        bundle_id="b" * 64,
        device=device,
        segments=tuple(_timing(ms) for ms in np.diff(model.device_ms)),
        heads=tuple(_timing(ms) for ms in model.head_ms[1:]),
        tensor=_timing(0.0),
        payloads=tuple(
            Payload(cut=cut, codec="raw", encode=_timing(ms), bytes_p50=1000, bytes_p95=1000)
            for cut, ms in enumerate(model.encode_ms)
        ),
    )


def policy_of(model: PathModel, **bandit: Any) -> PolicyFile:
    """A policy file with the objective of `model`."""
    return PolicyFile(
        bundle_id="b" * 64,
        exits=tuple(ExitSection() for _ in range(model.exits)),
        objective=ObjectiveSection(**asdict(model.objective)),
        ship=model.ship,
        bandit=BanditSection(**bandit),
    )


def _timing(ms: float) -> Timing:
    return Timing(p50_ms=float(ms), p95_ms=float(ms), n=1)
