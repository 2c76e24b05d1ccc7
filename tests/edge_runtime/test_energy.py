"""Trees as a Jetson's and a PC's kernel show them, in a folder."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_runtime import energy
from edge_runtime.energy import EnergyMeter, Sensor, find_sensor, open_meter
from edge_runtime.frames.costs import CostBook, LinkModel
from split_core.objective import Objective
from split_core.telemetry.metrics import EdgeMetrics, exposition
from tests.edge_runtime.world import World, profile

ORIN_NANO = {1: ("VDD_IN", 5072, 1000), 2: ("VDD_CPU_GPU_CV", 5072, 200), 3: ("VDD_SOC", 5064, 300)}
AGX_ORIN = (
    {1: ("VDD_GPU_SOC", 20000, 100), 2: ("VDD_CPU_CV", 20000, 50), 3: ("VIN_SYS_5V0", 5000, 400)},
    {2: ("NC", 5000, 0)},
)
LIMIT_UJ = 262_143_328_850


def write(root: Path, files: dict[str, object]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")


def jetson(root: Path, *chips: dict[int, tuple[str, int, int]]) -> None:
    write(root, {"class/hwmon/hwmon0/name": "cpu_thermal", "class/hwmon/hwmon0/temp1_input": 45000})
    for number, channels in enumerate(chips, 1):
        chip = f"class/hwmon/hwmon{number}"
        write(root, {f"{chip}/name": "ina3221", f"{chip}/in4_label": "sum of shunt voltages", f"{chip}/in4_input": 3})
        for channel, (label, volts, amperes) in channels.items():
            shown = {"in{}_label": label, "in{}_input": volts, "curr{}_input": amperes}
            write(root, {f"{chip}/{name.format(channel)}": value for name, value in shown.items()})


def pc(root: Path, **zones: tuple[str, int]) -> None:
    for zone, (name, energy_uj) in zones.items():
        folder = f"class/powercap/{zone.replace('_', ':').replace('rapl', 'intel-rapl')}"
        write(root, {f"{folder}/name": name, f"{folder}/energy_uj": energy_uj})
        write(root, {f"{folder}/max_energy_range_uj": LIMIT_UJ})


def found(root: Path) -> Sensor:
    sensor = find_sensor(root, pytest.fail)
    assert sensor is not None
    return sensor


def test_a_board_that_measures_its_input_is_measured_there(tmp_path: Path) -> None:
    jetson(tmp_path, ORIN_NANO)
    sensor = found(tmp_path)
    assert sensor.name == "ina3221 VDD_IN"
    assert sensor.joules(2.0) == pytest.approx(2 * 5.072)


def test_a_board_without_is_the_sum_of_its_channels_that_are_connected(tmp_path: Path) -> None:
    jetson(tmp_path, *AGX_ORIN)
    sensor = found(tmp_path)
    assert sensor.name == "ina3221 VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0"
    assert sensor.joules(1.0) == pytest.approx(2.0 + 1.0 + 2.0)


def test_a_processor_counts_packages_and_memory_and_no_part_twice(tmp_path: Path) -> None:
    zones = {"rapl_0": ("package-0", 5_000_000), "rapl_0_0": ("core", 1_000_000), "rapl_0_1": ("dram", 2_000_000)}
    pc(tmp_path, **zones)
    sensor = found(tmp_path)
    assert sensor.name == "rapl package-0+dram intel-rapl:0:1"
    pc(tmp_path, rapl_0=("package-0", 8_000_000), rapl_0_0=("core", 3_000_000), rapl_0_1=("dram", 2_500_000))
    assert sensor.joules(1.0) == pytest.approx(3.5)
    assert sensor.joules(1.0) == 0.0


def test_a_platform_that_is_counted_as_a_whole_is_taken_as_a_whole(tmp_path: Path) -> None:
    pc(tmp_path, rapl_0=("package-0", 5_000_000), rapl_1=("psys", 9_000_000))
    assert found(tmp_path).name == "rapl psys"


def test_a_counter_that_begins_again_has_drawn_what_is_between(tmp_path: Path) -> None:
    pc(tmp_path, rapl_0=("package-0", LIMIT_UJ - 1_000_000))
    sensor = found(tmp_path)
    pc(tmp_path, rapl_0=("package-0", 500_000))
    assert sensor.joules(1.0) == pytest.approx(1.5)


def test_where_nothing_tells_there_is_no_figure(tmp_path: Path) -> None:
    assert find_sensor(tmp_path, pytest.fail) is None
    book = CostBook(profile(3, "a" * 64), LinkModel(10.0, 2.0))
    assert book.joules(5.0) is None
    dear, free = (book.costs(Objective(joule=joule), ship_input=True) for joule in (50.0, 0.0))
    assert list(dear.device) == list(free.device)


def test_a_sensor_that_may_not_be_read_is_told_and_the_next_one_taken(tmp_path: Path) -> None:
    jetson(tmp_path, ORIN_NANO)
    (tmp_path / "class/hwmon/hwmon1/curr1_input").unlink()
    told: list[str] = []
    assert find_sensor(tmp_path, told.append) is None
    assert told[0].startswith("Ina3221 is there and cannot be read (")
    pc(tmp_path, rapl_0=("package-0", 5_000_000))
    sensor = find_sensor(tmp_path, told.append)
    assert sensor is not None
    assert sensor.name == "rapl package-0"


class Script:
    """Joules per reading; None is one that fails."""

    name = "script"

    def __init__(self, *joules: float | None) -> None:
        self._joules = iter(joules)

    def joules(self, elapsed_s: float) -> float:
        if (joules := next(self._joules)) is None:
            raise OSError("gone")
        return joules


def test_what_is_drawn_while_the_sensor_is_silent_is_not_guessed() -> None:
    now, told = [0.0], []
    meter = EnergyMeter(Script(4.0, None, 1000.0, 4.0), lambda: now[0], told.append)
    for _ in range(4):
        now[0] += 2.0
        meter.sample()
    assert (meter.joules, meter.seconds) == (8.0, 4.0)  # the third reading only begins anew
    assert told == [2.0, None, None, 2.0]
    assert meter.summary(16) == {"sensor": "script", "joules": 8.0, "mean_watts": 2.0, "joules_per_frame": 0.5}


def test_the_mean_follows_in_some_ten_seconds() -> None:
    now = [0.0]
    meter = EnergyMeter(Script(*[5.0] * 30, *[15.0] * 10), lambda: now[0])
    for _ in range(40):
        now[0] += 1.0
        meter.sample()
    assert meter.watts == pytest.approx(15.0 - 10.0 / 2.718, rel=0.01)


def test_an_objective_that_asks_for_energy_pays_for_what_the_device_draws(tiny_bundle: Path) -> None:
    world = World(tiny_bundle, policy="edge_only")
    world.costs.watts = 10.0
    world.camera([0.01])
    world.play(0.2)
    [record] = world.records
    assert record.joules == pytest.approx(10.0 * record.device_ms / 1e3)
    dear = world.costs.costs(Objective(ms=1.0, joule=100.0), ship_input=True)
    plain = world.costs.costs(Objective(ms=1.0), ship_input=True)
    assert dear.device[3] == pytest.approx(plain.device[3] * (1.0 + 100.0 * 10.0 / 1e3))
    assert dear.ship[1] > plain.ship[1]


def test_a_meter_at_work_shows_what_it_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jetson(tmp_path, ORIN_NANO)
    monkeypatch.setattr(energy, "SYSFS", tmp_path)
    monkeypatch.setattr(energy, "EVERY_S", 0.01)
    metrics, heard = EdgeMetrics(), threading.Event()
    with ExitStack() as closing:
        meter = open_meter(closing, metrics, lambda watts: heard.set() if watts else None)
        assert heard.wait(10.0)
        page = exposition(metrics.registry).decode()
    assert meter is not None
    assert 'offramp_power_watts{sensor="ina3221 VDD_IN"} 5.0' in page
    assert "offramp_energy_joules_total" in page
    assert meter.summary(1)["mean_watts"] == 5.07
