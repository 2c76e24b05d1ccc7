from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.pulse import Pulse, Supervisor


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        yield heard


def news(systemd: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return found


def test_systemd_hears_of_the_loop_three_times_in_the_time_that_it_grants(systemd: socket.socket) -> None:
    clock = Clock()
    environment = {"NOTIFY_SOCKET": str(systemd.getsockname()), "WATCHDOG_USEC": "3000000"}
    pulse = Pulse(Supervisor(environment), clock)
    pulse.begin()
    for _ in range(60):
        clock.now += 0.1
        pulse.beat()
    pulse.end()
    assert news(systemd) == ["READY=1", *["WATCHDOG=1"] * 5, "STOPPING=1"]


def test_a_watchdog_that_is_meant_for_another_process_is_not_fed(systemd: socket.socket) -> None:
    address = str(systemd.getsockname())
    other = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid() + 1)}
    assert Supervisor(other).watchdog_s == 0.0
    assert Supervisor({**other, "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 3.0


def test_without_a_supervisor_or_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}, {"NOTIFY_SOCKET": "@offramp-test-nobody"}):
        supervisor = Supervisor(environment)
        supervisor.tell("READY=1")
        assert supervisor.watchdog_s == 0.0


def test_a_loop_that_does_not_turn_is_not_alive_and_one_that_turns_again_is() -> None:
    clock = Clock()
    pulse = Pulse(Supervisor({}), clock, stalled_s=5.0)
    clock.now += 1000.0
    assert pulse.alive  # engines are still being built
    pulse.begin()
    clock.now += 4.9
    assert pulse.alive
    clock.now += 0.2
    assert not pulse.alive
    pulse.beat()
    assert pulse.alive
