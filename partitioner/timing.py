"""When the work before each cut is done: measured here, or as a device measured it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from partitioner.cut import prefix
from partitioner.listing import CutRow
from partitioner.measured import progress_by_time
from partitioner.network import Network
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.machine import processor_name
from split_core.profiles import HwProfile
from split_core.tensors import Array, TensorSpec

Clock = Callable[[], float]
# What else runs on a machine must not count; elsewhere the clock of a thread is too coarse.
OWN_TIME: Clock = time.thread_time if os.name == "posix" else time.perf_counter
MOST = 40  # prefixes that are run; cuts between two of them are interpolated
FEW, LARGE = 12, 1 << 28  # so many where the network has more bytes than that: loading is what takes long
PASSES = 4  # over all prefixes, of which the quickest counts: what else runs on a machine only adds
RUNS = (5, 51)  # of each prefix in one pass, at least and at most
BUDGET_S = 0.03  # of them, where the most runs take longer


@dataclass(frozen=True)
class Progress:
    """Milliseconds of one sample on its way through the network.

    Attributes:
        ms: until each cut.
        whole_ms: until the end.
        measured: for each cut whether it was measured; else it is interpolated by compute.
        where: the machine and the way, in words.
    """

    ms: tuple[float, ...]
    whole_ms: float
    measured: tuple[bool, ...]
    where: str


def timed_here(network: Network, rows: Sequence[CutRow], always: Collection[int], clock: Clock) -> Progress:
    """Run the network up to one cut after another, on one thread of this machine.

    Args:
        network: imported.
        rows: its cuts, in the order of depth.
        always: indices of those that are measured whatever their number; of the others at most `MOST` are.
        clock: seconds; only differences matter.

    Raises:
        BackendError: onnxruntime cannot run it.
    """
    large = 4 * sum(network.weight_items.values()) > LARGE
    places = measured_places(len(rows), always, FEW if large else MOST)
    ends = [*(rows[place].tensors for place in places), network.finals]
    *known, whole_ms = np.min([_pass(network, ends, clock) for _ in range(PASSES)], axis=0).tolist()
    return Progress(
        ms=between([row.compute_before for row in rows], places, known, whole_ms),
        whole_ms=whole_ms,
        measured=tuple(place in places for place in range(len(rows))),
        where=f"{processor_name() or platform.machine()}, the time of 1 thread, "
        f"onnxruntime {OnnxRuntimeBackend.version}, quietest of {PASSES} medians",
    )


def timed_there(network: Network, rows: Sequence[CutRow], profile: HwProfile) -> Progress:
    """What a device's profile says, see `progress_by_time`.

    Raises:
        ProfileError: of another network, or of a bundle whose cuts are not among `rows`.
    """
    whole_ms = float(profile.device_ms()[-1])
    device = profile.device
    slowed = f", slowed {profile.slowdown:g} times" if profile.slowdown > 1 else ""
    return Progress(
        ms=tuple(share * whole_ms for share in progress_by_time(network, rows, profile)),
        whole_ms=whole_ms,
        measured=tuple(row.tensors in profile.cuts for row in rows),
        where=f"profile {profile.name}: {device.processor or device.machine}{slowed}, {_threads(device.threads)}, "
        f"{device.backend} {device.backend_version}",
    )


def measured_places(count: int, always: Collection[int], most: int) -> list[int]:
    """Indices of the cuts to measure: at most `most` of `count`, evenly spread, and those in `always`."""
    spread = np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist() if count else []
    return sorted({*spread, *always})


def between(
    compute: Sequence[float], places: Sequence[int], known_ms: Sequence[float], whole_ms: float
) -> tuple[float, ...]:
    """Milliseconds until every cut: as measured at `places`, and between two of them growing with compute.

    Args:
        compute: share of the network's compute before each cut.
        places: indices of those that were measured.
        known_ms: what was measured there.
        whole_ms: the same for the whole network.
    """
    shares = [0.0, *(compute[place] for place in places), 1.0]
    found = np.interp(compute, shares, [0.0, *known_ms, whole_ms])
    found[list(places)] = known_ms
    return tuple(map(float, found))


def _pass(network: Network, ends: Sequence[tuple[str, ...]], clock: Clock) -> list[float]:
    """Milliseconds until each of `ends`."""
    feeds = [sample(network.spec(name), network.shapes.axes) for name in network.flow.inputs]
    times = []
    for tensors in ends:
        session = OnnxRuntimeBackend().load(prefix(network, tensors), threads=1, folder=network.folder)
        times.append(median_ms(partial(session.run, feeds), clock))
    return times


def median_ms(call: Callable[[], object], clock: Clock) -> float:
    """Median over as many calls as fit into `BUDGET_S`, within `RUNS`, after two that do not count."""
    call(), call()
    least, most = RUNS
    times: list[float] = []
    while len(times) < least or (len(times) < most and sum(times) < BUDGET_S):
        started = clock()
        call()
        times.append(clock() - started)
    return float(np.median(times)) * 1e3


def sample(spec: TensorSpec, axes: Mapping[str, tuple[int, int]]) -> Array:
    """One sample at the first size of every axis: noise for floats, else ones, valid indices of anything."""
    shape = spec.sized({name: sizes[0] for name, sizes in axes.items()})
    if np.dtype(spec.dtype).kind == "f":
        return np.random.default_rng(0).standard_normal(shape).astype(spec.dtype)
    return np.ones(shape, spec.dtype)


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"
