"""What the device draws, where it says so: a Jetson's INA3221, a PC's RAPL.  Elsewhere there is no figure, not zero.

Both are files of the kernel, which a thread of its own reads once a second.  What tegrastats and jtop print of a
Jetson are the same files, read by one more process.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import structlog
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from split_core.telemetry.metrics import EdgeMetrics

log = structlog.get_logger("edge")

SYSFS = Path("/sys")
EVERY_S = 1.0
SETTLES_S = 10.0  # of the mean that frames are priced with: longer than a frame, shorter than a change of clocks
BOARD = "VDD_IN"  # the channel that has all others behind it, where there is one


class Sensor(Protocol):
    """Something that tells what was drawn.

    Attributes:
        name: what it is, and what it covers.
    """

    name: str

    def joules(self, elapsed_s: float) -> float:
        """Drawn since the last call, which was so long ago.

        Raises:
            OSError, ValueError: it cannot be read.
        """


class Rapl:
    """Counters of microjoules that begin again at a limit; see the kernel's power/powercap/powercap.rst.

    Args:
        zones: folders, by what they cover.

    Raises:
        OSError, ValueError: they cannot be read; on most systems only root may.
    """

    def __init__(self, zones: Mapping[str, Path]) -> None:
        self.name = f"rapl {'+'.join(zones)}"
        self._counters = [zone / "energy_uj" for zone in zones.values()]
        self._limits = [_whole(zone / "max_energy_range_uj") for zone in zones.values()]
        self._before = [_whole(counter) for counter in self._counters]

    def joules(self, elapsed_s: float) -> float:
        """Drawn since the last call."""
        now = [_whole(counter) for counter in self._counters]
        drawn = [(b - a) % max(1, limit) for a, b, limit in zip(self._before, now, self._limits, strict=True)]
        self._before = now
        return sum(drawn) / 1e6


class Ina3221:
    """Voltage and current of channels at the moment; see the kernel's hwmon/ina3221.rst.

    Args:
        channels: paths of millivolts and milliamperes, by label.

    Raises:
        OSError, ValueError: they cannot be read.
    """

    def __init__(self, channels: Mapping[str, tuple[Path, Path]]) -> None:
        self.name = f"ina3221 {'+'.join(channels)}"
        self._channels = tuple(channels.values())
        self.joules(0.0)

    def joules(self, elapsed_s: float) -> float:
        """As if it had drawn since the last call what it draws now."""
        return elapsed_s * sum(_whole(volts) * _whole(amperes) for volts, amperes in self._channels) / 1e6


def find_sensor(root: Path, tell: Callable[[str], None]) -> Sensor | None:
    """What there is: a whole board's sensor before a processor's.

    Args:
        root: where sysfs is mounted.
        tell: told in one line of one that is there and cannot be read.
    """
    kinds: Sequence[tuple[Callable[[Any], Sensor], Mapping[str, Any]]] = (
        (Ina3221, _channels(root)),
        (Rapl, _zones(root)),
    )
    for kind, found in kinds:
        try:
            if found:
                return kind(found)
        except (OSError, ValueError) as error:
            tell(f"{kind.__name__} is there and cannot be read ({error})")
    return None


def _channels(root: Path) -> dict[str, tuple[Path, Path]]:
    """Of all INA3221: the board's, or all that are connected."""
    found = {}
    for chip in sorted(root.glob("class/hwmon/hwmon*")):
        if _text(chip / "name") != "ina3221":
            continue
        for number in (1, 2, 3):  # a fourth is the sum of what is measured at the shunts
            label = _text(chip / f"in{number}_label")
            if label and label != "NC":
                found[label] = (chip / f"in{number}_input", chip / f"curr{number}_input")
    return {BOARD: found[BOARD]} if BOARD in found else found


def _zones(root: Path) -> dict[str, Path]:
    """The whole platform where it is counted, else packages and memory: other zones are parts of these."""
    zones = {path: _text(path / "name") for path in sorted(root.glob("class/powercap/intel-rapl:*"))}
    platform = {name: path for path, name in zones.items() if name == "psys"}
    parts = [(name, path) for path, name in zones.items() if name.startswith("package") or name == "dram"]
    return platform or {(name if name != "dram" else f"dram {path.name}"): path for name, path in parts}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _whole(path: Path) -> int:
    return int(path.read_text(encoding="ascii", errors="replace"))


def open_meter(
    closing: ExitStack, metrics: EdgeMetrics, on_watts: Callable[[float | None], None]
) -> EnergyMeter | None:
    """A meter at work; None where nothing tells.

    Args:
        closing: is given what ends it.
        metrics: show what it finds.
        on_watts: as of `EnergyMeter`.
    """
    sensor = find_sensor(SYSFS, lambda line: log.info("energy", found=line))
    if sensor is None:
        return None
    log.info("energy", found=sensor.name)
    meter = EnergyMeter(sensor, time.monotonic, on_watts)
    closing.callback(meter.close)
    metrics.watch(meter.families)
    meter.start()
    return meter


class EnergyMeter:
    """Adds up what a sensor tells.

    Args:
        sensor: read by `sample`.
        clock: monotonic seconds.
        on_watts: told the mean power of the last seconds after every reading; None when there is none.

    Attributes:
        sensor: as given.
        joules: drawn, over `seconds`; time in which the sensor could not be read is in neither.
        watts: mean of the last seconds.
    """

    def __init__(
        self, sensor: Sensor, clock: Callable[[], float], on_watts: Callable[[float | None], None] = lambda _: None
    ) -> None:
        self.sensor, self._clock, self._on_watts = sensor, clock, on_watts
        self.joules = self.seconds = 0.0
        self.watts: float | None = None
        self._read_at_s: float | None = clock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="energy", daemon=True)

    def start(self) -> None:
        """Call `sample` every second, in a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; one that hangs in the kernel is left behind."""
        self._closing.set()
        self._thread.join(EVERY_S)

    def sample(self) -> None:
        """Read once."""
        now = self._clock()
        elapsed_s = now - self._read_at_s if self._read_at_s is not None else 0.0
        try:
            joules = self.sensor.joules(elapsed_s)
        except (OSError, ValueError):
            self._read_at_s = self.watts = None
        else:
            if elapsed_s > 0.0:
                self._add(joules, elapsed_s)
            self._read_at_s = now
        self._on_watts(self.watts)

    def summary(self, frames: int) -> dict[str, Any]:
        """Since the start, as JSON types; nothing before the first reading."""
        if not self.seconds:
            return {}
        per_frame = {"joules_per_frame": round(self.joules / frames, 4)} if frames else {}
        mean_watts = round(self.joules / self.seconds, 2)
        return {"sensor": self.sensor.name, "joules": round(self.joules, 1), "mean_watts": mean_watts, **per_frame}

    def families(self) -> Iterator[Metric]:
        """For Prometheus; joules per frame is the ratio of two rates."""
        joules = CounterMetricFamily("offramp_energy_joules", "Drawn by the device.", labels=("sensor",))
        joules.add_metric((self.sensor.name,), self.joules)
        yield joules
        if (now := self.watts) is not None:
            watts = GaugeMetricFamily("offramp_power_watts", "Mean of the last seconds.", labels=("sensor",))
            watts.add_metric((self.sensor.name,), now)
            yield watts

    def _add(self, joules: float, elapsed_s: float) -> None:
        self.joules, self.seconds = self.joules + joules, self.seconds + elapsed_s
        watts = joules / elapsed_s
        weight = 1.0 - math.exp(-elapsed_s / SETTLES_S)
        self.watts = watts if self.watts is None else self.watts + weight * (watts - self.watts)

    def _run(self) -> None:
        while not self._closing.wait(EVERY_S):
            self.sample()
