from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from split_core.demo.job import Workshop
from split_core.demo.live import decisions_path
from split_core.demo.outage import Fault, OutageRun, in_words, outage_result
from split_core.demo.setting import Setting
from split_core.telemetry.decisions import DecisionLog, FrameRecord

RECORD = FrameRecord(
    seq=0,
    captured_s=0.0,
    arm=None,
    propensity=1.0,
    exits=(1,),
    labels=(0,),
    confidences=(0.9,),
    where="cloud",
    exit=3,
    label=0,
    confidence=0.9,
    degraded="",
    shipped=1,
    payload_bytes=10,
    verdict_label=0,
    verdict_confidence=0.9,
    latency_ms=10.0,
    device_ms=1.0,
    encode_ms=0.1,
    link_ms=1.0,
    cloud_ms=1.0,
    cost=1.0,
)


def run_of(*faults: Fault, started_s: float = 0.0) -> OutageRun:
    return OutageRun(list(faults), started_s, {"frames": 4, "dropped": 0})


def shop_with(folder: Path, records: list[FrameRecord]) -> Workshop:
    shop = Workshop(folder, Setting(), lambda *_: None)
    log = DecisionLog(decisions_path(shop, "any", "outage"), {})
    for record in records:
        log.write(record)
    log.close()
    return shop


def test_recovery_is_from_the_return_to_the_first_answer_of_the_cloud(tmp_path: Path):
    records = [
        replace(RECORD, seq=0, captured_s=0.9),
        replace(RECORD, seq=1, captured_s=2.0, where="edge", degraded="timeout", latency_ms=160.0),
        replace(RECORD, seq=2, captured_s=3.2, where="edge"),
        replace(RECORD, seq=3, captured_s=3.5),
    ]
    told, timeline = outage_result(shop_with(tmp_path, records), run_of(Fault("kill", 101.0, 103.0), started_s=100.0))
    assert told["faults"] == [{"kind": "kill", "from_s": 1.0, "to_s": 3.0, "recovery_s": 0.51}]
    assert (told["frames"], told["outcomes"], told["deadline_misses"], told["degraded"]) == (4, 4, 1, 1)
    assert timeline["frames"]["kind"] == ["cloud", "degraded", "edge", "cloud"]
    assert "kill 0.51 s" in in_words(told)


def test_a_cloud_that_never_came_back_and_a_second_answer_are_told(tmp_path: Path):
    records = [replace(RECORD, where="edge"), replace(RECORD, where="edge")]
    told, _ = outage_result(shop_with(tmp_path, records), run_of(Fault("freeze", 1.0, 2.0)))
    assert told["faults"][0]["recovery_s"] is None
    assert (told["outcomes"], told["duplicates"]) == (1, 1)


def test_the_faults_fit_into_the_outage_run():
    for setting in (Setting(), Setting.short()):
        # A killed worker needs about a second to start again; the last calm is for the last recovery.
        assert 3 * (setting.calm_s + setting.fault_s) + 1.0 < setting.outage_frames / setting.fps


def test_calibration_and_stream_never_share_a_row():
    first, last = (int(part) for part in Setting().calibrate.split(":"))
    assert (first, last) == (0, 5000)
    assert Setting().stream_start >= last


@pytest.mark.parametrize("setting", [Setting(), Setting.short()])
def test_the_headline_says_link_slow_down_and_objective(setting: Setting):
    text = " ".join(setting.headline(50.0, "a PC"))
    for word in ("10 Mbit/s", "slowed 50.0 times", "Cost of a frame", "deadline 150 ms"):
        assert word in text
