"""Measures what a bundle costs on this device: `offramp profile`."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from edge_runtime.frames.prefix import Prefix, Run
from edge_runtime.sources.base import Item
from split_core.backends.base import Backend
from split_core.bundle import Bundle
from split_core.codecs import CODECS
from split_core.codecs.base import Codec
from split_core.errors import ProfileError
from split_core.machine import processor_name
from split_core.policy import CodecSection
from split_core.profiles import Device, HwProfile, Payload, Timing

WARM_UP = 10


def profile(
    bundle: Bundle,
    backend: Backend,
    items: Sequence[Item],
    *,
    name: str,
    codecs: CodecSection,
    threads: int = 1,
    precision: str = "",
    slowdown: float = 1.0,
    progress: Callable[[int], None] = lambda _: None,
) -> HwProfile:
    """Run every item through every segment, head and codec, and time each step.

    Args:
        bundle: verified.
        backend: loads its pieces.
        items: real frames, because the bytes of a payload depend on them; at least 20.
        name: of the profile.
        codecs: which ones to time.
        threads: per session.
        precision: of the bundle's; empty for the pieces as exported.
        slowdown: the device that the profile shall stand for is this many times slower.
        progress: called with the number of items done.

    Raises:
        ProfileError: too few items.
        ConfigError: the bundle does not have this precision.
    """
    if len(items) < 20:
        raise ProfileError(f"profiling needs at least 20 pictures or texts, got {len(items)}")
    prefix = Prefix(bundle, backend, threads=threads, precision=precision)
    packers: list[Codec] = [CODECS.load(_codec_at(cut, codecs))() for cut in range(prefix.exits)]
    rows = []
    for done, item in enumerate([*items[:WARM_UP], *items]):
        rows.append(_measure(prefix, packers, item))
        progress(done + 1)
    steps = _Columns(rows[WARM_UP:])
    k_range = range(prefix.exits)
    return HwProfile(
        name=name,
        bundle_id=bundle.id,
        network=bundle.manifest.source.get("sha256", ""),
        cuts=tuple(tuple(tensor.name for tensor in cut.tensors) for cut in bundle.manifest.cuts[1:]),
        device=_device(backend, threads),
        segments=tuple(steps.timing("segment", k) for k in k_range),
        heads=tuple(steps.timing("head", k) for k in k_range),
        tensor=steps.timing("tensor", 0),
        payloads=tuple(steps.payload(cut, _codec_at(cut, codecs)) for cut in k_range),
        precision=precision,
        slowdown=slowdown,
        memory_mb=peak_mb(),
    )


def _codec_at(cut: int, codecs: CodecSection) -> str:
    return codecs.hidden if cut else codecs.input


def _measure(prefix: Prefix, packers: list[Codec], item: Item) -> dict[str, list[float]]:
    """One item: milliseconds of every step, and bytes of every payload."""
    run = prefix.start(item)
    started_s = time.perf_counter()
    prefix.intake.tensors(run.item)
    tensor_ms = (time.perf_counter() - started_s) * 1e3
    encode, sizes = [], []
    for cut, codec in enumerate(packers):
        _reach(run, cut)
        started_s = time.perf_counter()
        encoded = [codec.encode(tensor) for tensor in run.tensors(cut)]
        encode.append((time.perf_counter() - started_s) * 1e3)
        sizes.append(float(sum(len(item.data) for item in encoded)))
    _reach(run, prefix.exits)
    run.segment_ms[1] -= tensor_ms
    return {
        "segment": run.segment_ms[1:],
        "head": run.head_ms[1:],
        "tensor": [tensor_ms],
        "encode": encode,
        "bytes": sizes,
    }


def _reach(run: Run, depth: int) -> None:
    while run.depth < depth:
        run.deepen()
        run.logits()


class _Columns:
    """The measurements of all items, by step."""

    def __init__(self, rows: Iterable[dict[str, list[float]]]) -> None:
        rows = list(rows)
        self._table = {key: np.maximum(0.0, np.array([row[key] for row in rows])) for key in rows[0]}

    def quantile(self, key: str, index: int, q: float) -> float:
        return float(np.quantile(self._table[key][:, index], q))

    def payload(self, cut: int, codec: str) -> Payload:
        low, high = (int(self.quantile("bytes", cut, q)) for q in (0.5, 0.95))
        return Payload(cut=cut, codec=codec, encode=self.timing("encode", cut), bytes_p50=low, bytes_p95=high)

    def timing(self, key: str, index: int) -> Timing:
        p50, p95 = (round(self.quantile(key, index, q), 5) for q in (0.5, 0.95))
        return Timing(p50_ms=p50, p95_ms=p95, n=len(self._table[key]))


def _device(backend: Backend, threads: int) -> Device:
    return Device(
        machine=platform.machine(),
        processor=processor_name(),
        cores=usable_cores(),
        python=platform.python_version(),
        numpy=np.__version__,
        backend=backend.name,
        backend_version=backend.version,
        threads=threads,
    )


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def peak_mb() -> float | None:
    """Largest resident memory of this process so far, in MB; None where the system does not say.

    Not `getrusage`: on Linux that one begins with the memory of whoever started the process.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return round(kilobytes[0] / 1024.0, 1) if kilobytes else None
