"""The sink beside the broker that most people run, which is stopped, killed and started again."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.sinks import SINKS
from edge_runtime.sinks.sink import Sink
from edge_runtime.sinks.wanted import any_of
from tests.certificates import Authority
from tests.sink_peers import outcome, until

PASSWORD = "open sesame"


class Mosquitto:
    """A broker as a process of its own, with TLS and one user, "door"; stopped by `signal` as anybody would."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if not program or not shutil.which("mosquitto_passwd"):
            pytest.skip("mosquitto is not installed")
        self.authority, self._folder = Authority(folder), folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        users, settings = folder / "users", folder / "mosquitto.conf"
        subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "door", PASSWORD], check=True, capture_output=True)
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nuser root\nallow_anonymous false\npassword_file {users}\n"
            f"certfile {self.authority.cert}\nkeyfile {self.authority.key}\n"
        )
        self._words = [program, "-c", str(settings)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._listens, "mosquitto does not listen")

    def _listens(self) -> bool:
        assert self.process.poll() is None, "mosquitto has ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            return True
        return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Reader:
    """Somebody who reads what cameras say.

    Attributes:
        got: topic, payload and whether it was retained, of each message.
    """

    def __init__(self, broker: Mosquitto) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.got: list[tuple[str, bytes, bool]] = []
        self.listens = False
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.tls_set_context(ssl.create_default_context(cafile=broker.authority.ca))
        self._client.username_pw_set("door", PASSWORD)
        self._client.on_connect = self._subscribe
        self._client.on_message = lambda _, __, message: self.got.append(
            (message.topic, message.payload, message.retain)
        )
        self._client.on_subscribe = lambda *_: setattr(self, "listens", True)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        until(lambda: self.listens, "the reader was not heard")

    def _subscribe(self, *_: Any) -> None:
        self._client.subscribe("offramp/#", qos=1)

    def seqs(self) -> list[int]:
        return [json.loads(payload)["seq"] for topic, payload, _ in self.got if topic.endswith("outcome")]

    def end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    pytest.importorskip("paho.mqtt")
    made = Mosquitto(tmp_path)
    yield made
    made.thaw()
    made.kill()


def sink_to(broker: Mosquitto, tmp_path: Path, told: list[str], **options: Any) -> Sink:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    settings = {"user": "door", "password": {"file": str(tmp_path / "password")}, "ca": broker.authority.ca, **options}
    outlet = SINKS.load("mqtt")(
        address=f"mqtts://127.0.0.1:{broker.port}", device="box", cameras=["door"], tell=told.append, **settings
    )
    return Sink("mqtt", outlet, wanted=any_of(["all"]), queue=4096)


def put(sink: Sink, first: int, count: int) -> None:
    for seq in range(first, first + count):
        sink(outcome(seq))


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_thousand_outcomes_arrive_in_order_and_once(broker: Mosquitto, tmp_path: Path, qos: int):
    reader = Reader(broker)
    sink = sink_to(broker, tmp_path, [], qos=qos)
    put(sink, 0, 1000)
    until(lambda: len(reader.seqs()) >= 1000, "not all came")
    sink.close(10.0)
    until(lambda: reader.got[-1][1] == b"offline", "nobody said good-bye")
    reader.end()
    assert reader.seqs() == list(range(1000))
    assert sink.lost == {}


def test_who_comes_later_sees_the_last_answer_and_that_the_device_is_gone(broker: Mosquitto, tmp_path: Path):
    sink = sink_to(broker, tmp_path, [], retain=True)
    put(sink, 0, 3)
    sink.close(10.0)
    reader = Reader(broker)
    until(lambda: len(reader.got) >= 2, "nothing was retained")
    reader.end()
    assert reader.seqs() == [2]
    assert ("offramp/box/availability", b"offline", True) in reader.got


def test_nothing_is_lost_over_a_kill_and_a_freeze_and_nobody_waits(broker: Mosquitto, tmp_path: Path):
    told: list[str] = []
    reader, sink = Reader(broker), sink_to(broker, tmp_path, told)
    put(sink, 0, 100)
    until(lambda: len(reader.seqs()) >= 100, "the first never came")
    broker.freeze()
    put(sink, 100, 500)  # a call that waited for the broker would wait for ever
    broker.thaw()
    until(lambda: 599 in reader.seqs(), "what came while it was frozen never came")
    broker.kill()
    put(sink, 600, 500)
    reader.listens = False
    broker.start()
    until(lambda: told[-1].endswith(": connected") and len(told) > 1, "it never came back")
    until(lambda: reader.listens, "the reader never came back")
    put(sink, 1100, 100)
    until(lambda: 1199 in reader.seqs(), "what came afterwards never came")
    sink.close(10.0)
    reader.end()
    assert sink.lost == {}
    assert reader.seqs()[:600] == list(range(600))
    assert set(range(1100, 1200)) <= set(reader.seqs())  # what was sent before the reader was back, it did not see


def test_a_wrong_password_is_said_in_words_and_costs_no_time(broker: Mosquitto, tmp_path: Path):
    (tmp_path / "wrong").write_text("guess")
    told: list[str] = []
    sink = sink_to(broker, tmp_path, told, password={"file": str(tmp_path / "wrong")})
    until(lambda: told, "nothing was told")
    put(sink, 0, 10)
    sink.close(3.0)
    assert told == [f"127.0.0.1:{broker.port}: refuses: Not authorized"]
    assert sink.lost == {"closing": 10}
