"""Risk controls: losses per sample and threshold to the loosest threshold that keeps the promise."""

from __future__ import annotations

from split_core.registry import Registry

RISK_CONTROLS = Registry(
    "risk control",
    {
        "naive": "partitioner.calibrate.risk.naive:naive",
        "crc": "partitioner.calibrate.risk.crc:crc",
        "ltt": "partitioner.calibrate.risk.ltt:ltt",
        "wsr": "partitioner.calibrate.risk.wsr:wsr",
    },
)
