"""Outcomes to an MQTT broker.  A hundred at a time are in the library's hands, the rest in our queue."""

from __future__ import annotations

import ssl
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_runtime.frames.outcomes import Outcome
from edge_runtime.secret import secret, text
from edge_runtime.sinks.base import NOTHING_LOST, as_json
from edge_runtime.sinks.place import Place, reason_of, tls_context
from split_core.errors import ConfigError
from split_core.params import flag, whole
from split_core.telemetry.background import LINGER_S

CAMERA, DEVICE = "{camera}", "{device}"
PATIENCE_S = 0.25  # longest wait before the thread looks whether it shall stop
LAST_S = 2.0  # for the broker to confirm, once the program ends
LONGEST_RECONNECT_S = 30
# Unconfirmed messages at most.  Of more, with `qos` 2, Mosquitto as it is installed confirms all, and drops some.
WINDOW = 20


class Mqtt:
    """Publishes each outcome as JSON; with `qos` 1 or 2 until the broker has confirmed it.

    The library's own thread connects, and connects again; a message that was not confirmed is then sent again.

    Args:
        address: `mqtt://host:1883`, or `mqtts://host:8883` with TLS.
        topic: "{camera}" and "{device}" stand for the names.
        qos: 0 (at most once), 1 (at least once) or 2.
        retain: does the broker keep the last answer of each topic for who comes later?
        availability: topic that says "online", and "offline" when the device has gone; empty says nothing.
        client_id: for brokers that want a certain one.
        user: a text or a secret place.
        password: a secret place.
        ca: PEM file of who signs for the broker; empty trusts whom the system trusts.
        cert, key: PEM files of this device's own certificate.
        plain: must be true to send a password without TLS.
        keepalive_s: a broker that says nothing for so long is connected to again.
        device, cameras: names for the topics.
        tell: is told how the connection is, in one line, when that changes.
    """

    at_once, linger_s = 100, LINGER_S

    def __init__(
        self,
        *,
        address: str,
        topic: str = "offramp/{camera}/outcome",
        qos: int = 1,
        retain: bool = False,
        availability: str = "offramp/{device}/availability",
        client_id: str = "",
        user: Any = "",
        password: Any = None,
        ca: str = "",
        cert: str = "",
        key: str = "",
        plain: bool = False,
        keepalive_s: int = 30,
        device: str,
        cameras: Collection[str],
        tell: Callable[[str], None],
    ) -> None:
        self._place = Place.of("address", str(address), {"mqtt": 1883, "mqtts": 8883})
        tls = self._place.scheme == "mqtts"
        self._topics = {camera: _topic("topic", topic, {CAMERA: camera, DEVICE: device}) for camera in cameras}
        self._presence = _topic("availability", availability, {DEVICE: device}) if availability else ""
        self._qos, self._retain, self._tell = whole("qos", qos, 0, 2), flag("retain", retain), tell
        self._keepalive_s = whole("keepalive_s", keepalive_s, 1, 65_535)
        if password is not None and not tls and not flag("plain", plain):
            raise ConfigError("address: a password would go in the clear; give mqtts://, or plain: true")
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=str(client_id))
        if user or password is not None:
            self._client.username_pw_set(text("user", user), None if password is None else secret("password", password))
        if tls:
            self._client.tls_set_context(_own_context(ca, cert, key))
        self._state = ""
        self._up, self._connections, self._confirmed = False, 0, set[int]()
        self._news = threading.Event()

    def open(self) -> None:
        """Begin to connect."""
        client = self._client
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_publish = self._on_connect_fail, self._on_publish
        client.max_inflight_messages_set(WINDOW)
        client.reconnect_delay_set(1, LONGEST_RECONNECT_S)
        if self._presence:
            client.will_set(self._presence, "offline", qos=1, retain=True)
        client.connect_async(self._place.host, self._place.port, self._keepalive_s)
        client.loop_start()

    def deliver(self, outcomes: Sequence[Outcome], closing: threading.Event) -> Mapping[str, int]:
        """Publish, and wait until the broker has confirmed; for a broker, too, that is away."""
        left = list(outcomes)
        while left and self._wait(lambda: self._up, closing):
            left = self._send(left, closing)
            if self._qos:
                break  # from here on the library sends them again by itself
        return {"closing": len(left)} if left else NOTHING_LOST

    def close(self) -> None:
        """Say "offline" and hang up."""
        if self._up and self._presence:
            now = threading.Event()
            now.set()
            self._confirmed = set()
            number = self._client.publish(self._presence, "offline", qos=1, retain=True).mid
            self._wait(lambda: number in self._confirmed, now)
        self._client.disconnect()
        self._client.loop_stop()

    def _send(self, outcomes: Sequence[Outcome], closing: threading.Event) -> list[Outcome]:
        """Publish; returns those that were not confirmed."""
        connection, self._confirmed = self._connections, set()
        sent = [self._publish(outcome) for outcome in outcomes]
        self._wait(lambda: self._is_over(sent, connection), closing)
        return [outcome for outcome, number in zip(outcomes, sent, strict=True) if number not in self._confirmed]

    def _publish(self, outcome: Outcome) -> int:
        topic = self._topics[outcome.camera]
        return self._client.publish(topic, as_json(outcome), qos=self._qos, retain=self._retain).mid

    def _is_over(self, sent: Sequence[int], connection: int) -> bool:
        """Were all confirmed?  Without confirmations (`qos` 0) what a lost connection had not sent is lost there."""
        return self._confirmed.issuperset(sent) or (not self._qos and connection != self._connections)

    def _wait(self, over: Callable[[], bool], closing: threading.Event) -> bool:
        """Until it is over; not for a broker that is away, nor long, when the program ends."""
        end_at_s = float("inf")
        while not over():
            if closing.is_set():
                end_at_s = min(end_at_s, time.monotonic() + LAST_S)
                away = self._state and not self._up  # and not only on its way for the first time
                if away or time.monotonic() >= end_at_s:
                    return False
            self._news.wait(PATIENCE_S)
            self._news.clear()
        return True

    def _on_connect(self, client: Client, _: Any, flags: ConnectFlags, code: ReasonCode, __: Properties | None) -> None:
        if code.is_failure:
            return self._note(f"refuses: {code}")
        if self._presence:
            client.publish(self._presence, "online", qos=1, retain=True)
        self._connections += 1
        self._up = True
        self._news.set()
        return self._note("connected")

    def _on_disconnect(
        self, client: Client, _: Any, flags: DisconnectFlags, code: ReasonCode, __: Properties | None
    ) -> None:
        if self._up:
            self._note("the connection is lost" if code.is_failure else "disconnected")
        self._up = False
        self._news.set()

    def _on_connect_fail(self, client: Client, _: Any) -> None:
        # The library calls this where it caught the error, and does not pass it on.
        error = sys.exc_info()[1]
        self._note(f"cannot be reached ({reason_of(error)})" if isinstance(error, OSError) else "cannot be reached")

    def _on_publish(self, client: Client, _: Any, number: int, code: ReasonCode, __: Properties) -> None:
        self._confirmed.add(number)
        self._news.set()

    def _note(self, state: str) -> None:
        if state != self._state:
            self._tell(f"{self._place.peer}: {state}")
        self._state = state


def _topic(name: str, template: str, names: Mapping[str, str]) -> str:
    topic = str(template)
    for key, value in names.items():
        topic = topic.replace(key, value)
    if not topic or set(topic) & set("+#\0{}") or len(topic.encode()) > 65_535:
        raise ConfigError(f"{name}: {topic!r} is no topic; expected text without '+', '#' and other braces")
    return topic


def _own_context(ca: str, cert: str, key: str) -> ssl.SSLContext:
    context = tls_context(ca)
    try:
        if cert:
            context.load_cert_chain(cert, key or None)
    except OSError as error:
        raise ConfigError(f"cert: {cert} cannot be used ({reason_of(error)}); expected PEM, and its key") from error
    return context
