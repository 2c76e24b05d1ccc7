from __future__ import annotations

import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from split_core.errors import ConfigError, LinkError
from split_core.transport.base import Channel, Listener
from split_core.transport.keys import Curve, device_curve, make_keys, worker_curve
from split_core.transport.zmq import ZmqTransport

LIMIT_S = 10.0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listen(stack: ExitStack, curve: Curve | None) -> Listener:
    listener = ZmqTransport(curve).listen("tcp://127.0.0.1:0")
    stack.callback(listener.close)
    return listener


def connect(stack: ExitStack, address: str, curve: Curve | None) -> Channel:
    channel = ZmqTransport(curve).connect(address)
    stack.callback(channel.close)
    return channel


def gets_through(listener: Listener, *channels: Channel) -> list[bytes]:
    """Who is heard: each channel sends its number until the last one, who must be, was heard."""
    heard: list[bytes] = []
    give_up = time.monotonic() + LIMIT_S
    last = str(len(channels) - 1).encode()
    while last not in heard and time.monotonic() < give_up:
        for number, channel in enumerate(channels):
            channel.send([str(number).encode()])
        listener.wait(0.02)
        while (arrived := listener.receive()) is not None:
            heard.append(arrived[1][0])
    return sorted(set(heard))


def test_a_device_with_the_workers_key_gets_through(stack: ExitStack, tmp_path: Path) -> None:
    public, secret = make_keys(tmp_path, "worker")
    listener = listen(stack, worker_curve(secret))
    assert gets_through(listener, connect(stack, listener.address, device_curve(public))) == [b"0"]


def test_a_device_with_another_workers_key_never_gets_through(stack: ExitStack, tmp_path: Path) -> None:
    public, secret = make_keys(tmp_path, "worker")
    other, _ = make_keys(tmp_path, "other")
    listener = listen(stack, worker_curve(secret))
    wrong = connect(stack, listener.address, device_curve(other))
    right = connect(stack, listener.address, device_curve(public))
    assert gets_through(listener, wrong, right) == [b"1"]


def test_a_device_without_keys_never_gets_through(stack: ExitStack, tmp_path: Path) -> None:
    public, secret = make_keys(tmp_path, "worker")
    listener = listen(stack, worker_curve(secret))
    plain = connect(stack, listener.address, None)
    right = connect(stack, listener.address, device_curve(public))
    assert gets_through(listener, plain, right) == [b"1"]


def test_a_device_that_is_not_on_the_list_never_gets_through(stack: ExitStack, tmp_path: Path) -> None:
    public, secret = make_keys(tmp_path, "worker")
    listed, listed_secret = make_keys(tmp_path, "door")
    _, stranger_secret = make_keys(tmp_path, "stranger")
    clients = tmp_path / "clients"
    clients.mkdir()
    shutil.copy(listed, clients)
    listener = listen(stack, worker_curve(secret, clients))
    strangers = [device_curve(public, stranger_secret), device_curve(public)]
    channels = [connect(stack, listener.address, curve) for curve in [*strangers, device_curve(public, listed_secret)]]
    assert gets_through(listener, *channels) == [b"2"]


def test_a_device_with_keys_does_not_talk_to_a_worker_without(stack: ExitStack, tmp_path: Path) -> None:
    public, _ = make_keys(tmp_path, "worker")
    listener = listen(stack, None)
    curved, plain = connect(stack, listener.address, device_curve(public)), connect(stack, listener.address, None)
    assert gets_through(listener, curved, plain) == [b"1"]


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    public, secret = make_keys(tmp_path / "new", "worker")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    public, _ = make_keys(tmp_path, "worker")
    before = public.read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        make_keys(tmp_path, "worker")
    assert public.read_bytes() == before


def test_a_public_key_is_not_taken_for_a_secret_one(tmp_path: Path) -> None:
    public, _ = make_keys(tmp_path, "worker")
    with pytest.raises(ConfigError, match=r"give the \.key_secret file"):
        worker_curve(public)


@pytest.mark.parametrize("content", [None, "", "metadata\n", "hello"])
def test_a_file_without_keys_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "worker.key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match="no CURVE key"):
        device_curve(path)


def test_a_device_needs_the_workers_key(tmp_path: Path) -> None:
    _, secret = make_keys(tmp_path, "worker")
    with pytest.raises(LinkError, match="public key"):
        ZmqTransport(worker_curve(secret)).connect("tcp://127.0.0.1:1")


@pytest.mark.parametrize("address", ["tcp://nonsense", "udp:5", "", "tcp://127.0.0.1:99999999"])
def test_what_is_no_address_is_a_link_error(address: str) -> None:
    with pytest.raises(LinkError, match="host:port"):
        ZmqTransport().listen(address)
    with pytest.raises(LinkError, match="host:port"):
        ZmqTransport().connect(address)
