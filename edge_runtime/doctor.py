"""Is this device fit to run?  `offramp doctor` looks and says what to do, line by line."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` is empty when there is nothing to do."""

    check: str
    state: State
    found: str
    advice: str = ""


def examine(root: Path = Path("/")) -> list[Finding]:
    """Run every check; none of them raises.

    Args:
        root: of the file system, for tests.
    """
    return [check(root) for check in CHECKS]


def _python(_: Path) -> Finding:
    return Finding("python", "ok", platform.python_version())


def _onnxruntime(root: Path) -> Finding:
    if importlib.util.find_spec("onnxruntime") is None:
        jetson = (root / "etc/nv_tegra_release").exists()
        advice = (
            "PyPI has no build for Jetson: take the onnxruntime-gpu wheel for your JetPack from NVIDIA's Jetson index"
            if jetson
            else "run: pip install onnxruntime"
        )
        return Finding("onnxruntime", "fail", "not installed", advice)
    import onnxruntime

    providers = ", ".join(onnxruntime.get_available_providers())
    return Finding("onnxruntime", "ok", f"{onnxruntime.__version__} ({providers})")


def _tensorrt(_: Path) -> Finding:
    if importlib.util.find_spec("tensorrt") is None:
        return Finding("tensorrt", "ok", "not installed; onnxruntime will be used")
    return Finding("tensorrt", "ok", "installed")


def _curve(_: Path) -> Finding:
    import zmq

    if not zmq.has("curve"):
        return Finding("encryption", "fail", "libzmq has no CURVE", "run: pip install --force-reinstall pyzmq")
    return Finding("encryption", "ok", f"CURVE (libzmq {zmq.zmq_version()})")


def _camera(_: Path) -> Finding:
    if importlib.util.find_spec("av") is None:
        advice = "for cameras and video files run: pip install 'offramp[camera]'"
        return Finding("video", "warn", "PyAV is not installed", advice)
    return Finding("video", "ok", "PyAV")


def _text(_: Path) -> Finding:
    if importlib.util.find_spec("tokenizers") is None:
        return Finding("text", "ok", "none: tokenizers is not installed", "for texts run: pip install 'offramp[text]'")
    return Finding("text", "ok", "tokenizers")


def _governor(root: Path) -> Finding:
    path = root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    try:
        governor = path.read_text(encoding="ascii").strip()
    except OSError:
        return Finding("clocks", "ok", "the system does not say")
    if governor == "performance":
        return Finding("clocks", "ok", governor)
    advice = "times will vary; before 'offramp profile': sudo jetson_clocks, or cpupower frequency-set -g performance"
    return Finding("clocks", "warn", governor, advice)


def _slow_start(root: Path) -> Finding:
    path = root / "proc/sys/net/ipv4/tcp_slow_start_after_idle"
    try:
        on = path.read_text(encoding="ascii").strip() == "1"
    except OSError:
        return Finding("tcp after idle", "ok", "the system does not say")
    if not on:
        return Finding("tcp after idle", "ok", "keeps its window")
    advice = "payloads over 14 KB pay extra round trips: sysctl -w net.ipv4.tcp_slow_start_after_idle=0"
    return Finding("tcp after idle", "warn", "slow start", advice)


def _disk(_: Path) -> Finding:
    free_mb = shutil.disk_usage(os.getcwd()).free / 1e6
    if free_mb < 200:
        return Finding("disk", "warn", f"{free_mb:.0f} MB free here", "logs and state need room: free some")
    return Finding("disk", "ok", f"{free_mb / 1e3:.0f} GB free here")


CHECKS: tuple[Callable[[Path], Finding], ...] = (
    _python,
    _onnxruntime,
    _tensorrt,
    _curve,
    _camera,
    _text,
    _governor,
    _slow_start,
    _disk,
)
