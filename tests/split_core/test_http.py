from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from split_core.errors import ConfigError
from split_core.telemetry.http import Health, HealthServer
from split_core.telemetry.metrics import CloudMetrics, EdgeMetrics

LIMIT_S = 10.0


class Program:
    def __init__(self) -> None:
        self.live, self.ready = True, True
        self.metrics = CloudMetrics()

    def health(self) -> Health:
        return Health(lambda: self.live, lambda: self.ready, {"tiny"}.__contains__, self.metrics.registry)


@pytest.fixture
def program() -> Program:
    return Program()


@pytest.fixture
def server(program: Program) -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1:0", program.health())
    yield server
    server.close()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_says_yes_and_no(program: Program, server: HealthServer) -> None:
    assert get(f"{server.url}/v2/health/live") == (200, json.dumps({"live": True}))
    assert get(f"{server.url}/v2/health/ready") == (200, json.dumps({"ready": True}))
    program.live = program.ready = False
    assert get(f"{server.url}/v2/health/live") == (503, json.dumps({"live": False}))
    assert get(f"{server.url}/v2/health/ready") == (503, json.dumps({"ready": False}))


def test_a_model_is_ready_when_it_is_there(program: Program, server: HealthServer) -> None:
    assert get(f"{server.url}/v2/models/tiny/ready")[0] == 200
    assert get(f"{server.url}/v2/models/large/ready")[0] == 503
    program.ready = False
    assert get(f"{server.url}/v2/models/tiny/ready")[0] == 503


def test_metrics_are_in_prometheus_text(program: Program, server: HealthServer) -> None:
    program.metrics.refusal("busy")
    program.metrics.watch_queue(lambda: 7.0)
    status, text = get(f"{server.url}/metrics")
    assert status == 200
    assert 'offramp_refusals_total{code="busy"} 1.0' in text
    assert "offramp_queue_rows 7.0" in text


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/models", "/etc/passwd", "/v2/models/a/b/ready"])
def test_another_path_lists_what_there_is(server: HealthServer, path: str) -> None:
    status, text = get(server.url + path)
    assert (status, "/v2/health/live" in text) == (404, True)


def test_somebody_who_says_nothing_holds_up_nobody(server: HealthServer) -> None:
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as silent:
        silent.send(b"GET /met")
        assert get(f"{server.url}/v2/health/live")[0] == 200


@pytest.mark.parametrize("address", ["8080", "127.0.0.1:", "127.0.0.1:99999", "256.0.0.1:0", ""])
def test_an_address_that_cannot_be_used_is_a_config_error(program: Program, address: str) -> None:
    with pytest.raises(ConfigError, match="http: "):
        HealthServer(address, program.health())


def test_a_port_that_is_taken_is_a_config_error(program: Program, server: HealthServer) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        HealthServer(server.url.removeprefix("http://"), program.health())


def test_a_camera_counts_its_frames() -> None:
    metrics = EdgeMetrics()
    metrics.answered("door", "edge", "", 12.0)
    metrics.answered("door", "cloud", "", 40.0)
    metrics.answered("door", "edge", "timeout", 100.0)
    metrics.watch_source("door", lambda: ({"newer": 2, "still": 1}, 4, True))
    metrics.shipped(1234)
    metrics.watch_breakers(lambda: {"tcp://gpu:5555": "open"})
    value = metrics.registry.get_sample_value
    assert value("offramp_frames_total", {"camera": "door", "where": "edge", "reason": "timeout"}) == 1
    assert value("offramp_frame_seconds_sum") == pytest.approx(0.152)
    assert value("offramp_frames_dropped_total", {"camera": "door", "reason": "newer"}) == 2
    assert value("offramp_source_connections_total", {"camera": "door"}) == 4
    assert value("offramp_source_sees", {"camera": "door"}) == 1
    assert value("offramp_offload_bytes_total") == 1234
    states = [{"worker": "tcp://gpu:5555", "state": state} for state in ("closed", "half_open", "open")]
    assert [value("offramp_breaker_state", labels) for labels in states] == [0, 0, 1]
