"""What a broker sees of a camera, and what it costs when the broker goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.sinks import SINKS
from edge_runtime.sinks.base import FIELDS
from edge_runtime.sinks.sink import Sink
from edge_runtime.sinks.wanted import any_of
from split_core.errors import ConfigError, MissingExtra
from tests.certificates import Authority
from tests.mqtt_broker import Broker
from tests.sink_peers import outcome, until


class Cameras:
    """Cameras "door" and "yard" of the device "box", whose outcomes go to a broker.

    Attributes:
        told: what they said of it.
    """

    def __init__(self, address: str, **options: Any) -> None:
        pytest.importorskip("paho.mqtt")
        self.told: list[str] = []
        given = {"device": "box", "cameras": ("door", "yard"), "tell": self.told.append}
        outlet = SINKS.load("mqtt")(address=address, **options, **given)
        self.sink = Sink("mqtt", outlet, wanted=any_of(["all"]), queue=1000)


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.end()


@pytest.fixture
def cameras() -> Iterator[Callable[..., Cameras]]:
    with ExitStack() as stack:

        def made(address: str, **options: Any) -> Cameras:
            some = Cameras(address, **options)
            stack.callback(some.sink.close, 10.0)
            return some

        yield made


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_outcome_is_json_below_its_cameras_name(broker: Broker, cameras: Callable[..., Cameras], qos: int):
    sink = cameras(broker.address, qos=qos, retain=True).sink
    sink(outcome(1))
    sink(outcome(2, camera="yard"))
    until(lambda: len(broker.published) >= 3, "they never came")
    first, second = (one for one in broker.published if one.topic.endswith("outcome"))
    assert (first.topic, second.topic) == ("offramp/door/outcome", "offramp/yard/outcome")
    assert (first.qos, first.retain) == (qos, True)
    assert sorted(json.loads(first.payload)) == sorted(FIELDS)


def test_a_device_says_that_it_is_here_and_that_it_goes(broker: Broker, cameras: Callable[..., Cameras]):
    sink = cameras(broker.address).sink
    until(lambda: broker.published, "nothing came")
    sink.close()
    assert [(one.topic, one.payload, one.retain) for one in broker.published] == [
        ("offramp/box/availability", b"online", True),
        ("offramp/box/availability", b"offline", True),
    ]


def test_the_broker_says_it_of_a_device_that_fell_silent(broker: Broker, cameras: Callable[..., Cameras]):
    cameras(broker.address)
    until(lambda: broker.published, "nothing came")
    broker.hang_up()
    until(lambda: len(broker.published) >= 3, "it never came back")
    assert [one.payload for one in broker.published[:3]] == [b"online", b"offline", b"online"]


def test_nothing_is_said_of_a_device_that_shall_not(broker: Broker, cameras: Callable[..., Cameras]):
    some = cameras(broker.address, availability="", topic="site/{device}/{camera}")
    some.sink(outcome(1))
    until(lambda: broker.published, "nothing came")
    some.sink.close()
    assert [one.topic for one in broker.published] == ["site/box/door"]


def test_the_connections_state_is_said_once_each_time(broker: Broker, cameras: Callable[..., Cameras]):
    some = cameras(broker.address)
    until(lambda: some.told, "nothing was told")
    broker.stop()
    until(lambda: len(some.told) >= 3, "no outage was told")
    broker.start()
    until(lambda: some.told[-1].endswith("connected"), "no return was told")
    name = broker.address.removeprefix("mqtt://")
    ends = ("connected", "the connection is lost", "cannot be reached (Connection refused)", "connected")
    assert some.told == [f"{name}: {end}" for end in ends]


def test_who_may_not_connect_is_told_so(broker: Broker, cameras: Callable[..., Cameras]):
    broker.code = 5
    some = cameras(broker.address)
    until(lambda: some.told, "nothing was told")
    assert some.told == [f"{broker.address.removeprefix('mqtt://')}: refuses: Not authorized"]


def test_what_an_outage_kept_from_being_confirmed_comes_after_it(broker: Broker, cameras: Callable[..., Cameras]):
    sink = cameras(broker.address).sink
    sink(outcome(0))
    until(lambda: len(broker.published) >= 2, "nothing came")
    broker.go_on.clear()
    for seq in range(1, 50):
        sink(outcome(seq))
    broker.hang_up()
    broker.go_on.set()
    until(lambda: b'"seq": 49,' in broker.published[-1].payload, "the last never came")
    got = [json.loads(one.payload)["seq"] for one in broker.published if one.topic.endswith("outcome")]
    assert list(dict.fromkeys(got)) == list(range(50))
    assert sink.lost == {}


def test_a_password_goes_to_the_broker_and_nowhere_else(
    broker: Broker, cameras: Callable[..., Cameras], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MQTT_PASSWORD", "hush")
    who = {"user": "door", "password": {"env": "MQTT_PASSWORD"}}
    with pytest.raises(ConfigError, match="a password would go in the clear; give mqtts://, or plain: true") as caught:
        cameras(broker.address, **who)
    assert "hush" not in str(caught.value)
    some = cameras(broker.address, **who, plain=True)
    until(lambda: some.told, "nothing was told")
    assert broker.users == [("door", "hush")]
    assert "hush" not in str(some.told)


# The library leaves the socket of a handshake that failed to the collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")
def test_a_broker_is_believed_that_has_the_right_certificate(tmp_path: Path, cameras: Callable[..., Cameras]):
    authority = Authority(tmp_path)
    broker = Broker(authority.server())
    try:
        some, stranger = cameras(broker.address, ca=authority.ca), cameras(broker.address)
        some.sink(outcome(1))
        until(lambda: len(broker.published) >= 2, "nothing came")
        until(lambda: stranger.told, "nothing was told")
    finally:
        broker.end()
    assert "unable to get local issuer certificate" in stranger.told[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"address": "here:1883"}, "address: not an address; expected mqtt://host:1883 or mqtts://host:8883"),
        ({"address": "mqtt://user:hush@here"}, "in ASCII and without a user"),
        ({"topic": "offramp/#"}, "topic: 'offramp/#' is no topic"),
        ({"topic": "{site}/{camera}"}, "is no topic"),
        ({"qos": 3}, "qos"),
        ({"retain": "yes"}, "retain"),
        ({"user": "door", "password": "hush"}, "password: expected {env: NAME} or {file: PATH}"),
        ({"address": "mqtts://here", "ca": "/no/such.pem"}, "ca: /no/such.pem cannot be read"),
        ({"address": "mqtts://here", "cert": "/no/such.pem"}, "cert: /no/such.pem cannot be used"),
    ],
)
def test_what_cannot_be_is_one_line_that_holds_no_secret(options: dict[str, Any], said: str):
    with pytest.raises(ConfigError) as caught:
        Cameras(**{"address": "mqtt://here", "plain": True, **options})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_without_its_library_it_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    modules = __import__("sys").modules
    monkeypatch.delitem(modules, "edge_runtime.sinks.mqtt", raising=False)
    monkeypatch.setitem(modules, "paho", None)
    monkeypatch.setitem(modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtra, match=r"sink 'mqtt' needs the module 'paho'; run: pip install 'offramp\[mqtt\]'"):
        SINKS.load("mqtt")
