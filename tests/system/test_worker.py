"""A real worker process: CURVE, port 0, SIGTERM.  Every wait has an end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from split_core import wire
from split_core.codecs import CODECS
from split_core.demo.processes import wait_for
from split_core.tensors import Array
from split_core.transport.base import Channel
from split_core.transport.keys import device_curve, make_keys
from split_core.transport.zmq import ZmqTransport
from tests.tiny import EXITS, PREPROCESS, tiny_samples

ROOT = Path(__file__).parents[2]
LIMIT_S = 30.0


@dataclass
class Running:
    """A worker process and how to reach it."""

    process: subprocess.Popen[bytes]
    ready: dict[str, object]
    key: Path
    stack: ExitStack
    log: Path

    @property
    def bundle_id(self) -> str:
        [bundle] = self.ready["bundles"]  # type: ignore[misc]
        return str(bundle)

    def connect(self) -> Channel:
        channel = ZmqTransport(device_curve(self.key)).connect(str(self.ready["address"]))
        self.stack.callback(channel.close)
        return channel


@pytest.fixture
def worker(tiny_bundle: Path, tmp_path: Path) -> Iterator[Running]:
    key, secret = make_keys(tmp_path / "keys", "worker")
    config, ready, log = tmp_path / "cloud.yaml", tmp_path / "ready.json", tmp_path / "log"
    config.write_text(
        f"listen: tcp://127.0.0.1:0\nbundles: [{tiny_bundle}]\ncurve: {{secret_key: {secret}}}\nhttp: 127.0.0.1:0\n"
    )
    words = [sys.executable, "-m", "split_core.cli", "cloud", str(config), "--ready-file", str(ready), "--json"]
    with log.open("wb") as errors, ExitStack() as stack:
        process = subprocess.Popen(words, cwd=ROOT, stderr=errors)
        try:
            yield Running(process, appears(ready, process), key, stack, log)
        finally:
            process.kill()
            process.wait(LIMIT_S)


def appears(path: Path, process: subprocess.Popen[bytes]) -> dict[str, object]:
    """The JSON at `path`, once the process has written it."""

    def lives() -> None:
        assert process.poll() is None, "the worker ended before it was ready"

    return dict(json.loads(wait_for(path.exists, lives, path.read_text, "cloud")))


def send(channel: Channel, frames: list[bytes]) -> None:
    give_up = time.monotonic() + LIMIT_S
    while not channel.send(frames):
        assert time.monotonic() < give_up, "nobody to send to"
        channel.wait(0.01)


def hear(channel: Channel) -> wire.Message:
    give_up = time.monotonic() + LIMIT_S
    while (frames := channel.receive()) is None:
        assert time.monotonic() < give_up, "no answer"
        channel.wait(0.1)
    return wire.decode(frames)


def ask(channel: Channel, message: wire.Message) -> wire.Message:
    send(channel, [bytes(frame) for frame in wire.encode(message)])
    return hear(channel)


def whole_network(path: Path, images: Array) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": PREPROCESS.tensor(images)}), strict=True))


def test_every_cut_gives_the_whole_networks_answer_while_somebody_sends_garbage(
    worker: Running, tiny_model_path: Path
) -> None:
    images = tiny_samples(6, seed=3)[0]
    whole = whole_network(tiny_model_path, images)
    channel, stranger = worker.connect(), worker.connect()
    rng = np.random.default_rng(0)
    for i in range(len(images)):
        send(stranger, [rng.bytes(int(size)) for size in rng.integers(0, 200, 3)])
        for cut in range(EXITS):
            codec, array = ("png", images[i]) if cut == 0 else ("raw", whole[f"hidden_{cut}"][i : i + 1])
            encoded = CODECS.load(codec)().encode(array)
            verdict = ask(channel, wire.Offload(10 * i + cut, worker.bundle_id, cut, codec, 20_000.0, (encoded,)))
            assert isinstance(verdict, wire.Verdict)
            assert (verdict.request_id, verdict.exit) == (10 * i + cut, EXITS)
            logits = np.frombuffer(verdict.logits, np.float32)
            np.testing.assert_allclose(logits, whole["exit_3"][i], rtol=1e-4, atol=1e-5)
    refusals = [hear(stranger) for _ in images]
    assert {refusal.code for refusal in refusals if isinstance(refusal, wire.Refusal)} == {"malformed"}


def test_a_camera_with_another_bundle_is_told_what_to_do(worker: Running) -> None:
    channel = worker.connect()
    assert ask(channel, wire.Hello(1, "door", worker.bundle_id, "p", ("raw",))) == wire.Welcome(
        1, "worker", worker.bundle_id, 0
    )
    refusal = ask(channel, wire.Hello(2, "door", "0" * 64, "p", ("raw",)))
    assert isinstance(refusal, wire.Refusal)
    assert (refusal.request_id, refusal.code) == (2, "mismatch")
    assert "copy the same bundle" in refusal.reason


def test_health_and_metrics_are_served(worker: Running) -> None:
    ask(worker.connect(), wire.Hello(1, "door", worker.bundle_id, "p", ()))
    for path, text in {
        "/v2/health/live": "true", "/v2/health/ready": "true", "/v2/models/tiny/ready": "true", "/metrics": "offramp_hellos_total 1.0",
    }.items():  # fmt: skip
        with urllib.request.urlopen(f"{worker.ready['http']}{path}", timeout=LIMIT_S) as answer:
            assert text in answer.read().decode()


def test_sigterm_ends_it_in_good_order(worker: Running) -> None:
    channel = worker.connect()
    ask(channel, wire.Hello(1, "door", worker.bundle_id, "p", ()))
    assert worker.ready["pid"] == worker.process.pid
    os.kill(worker.process.pid, signal.SIGTERM)
    assert worker.process.wait(LIMIT_S) == 0
    events = [json.loads(line)["event"] for line in worker.log.read_text().splitlines()]
    assert events == ["worker ready", "worker stopped"]


def test_a_worker_without_command_line_library_runs_too(tiny_bundle: Path, tmp_path: Path) -> None:
    config = tmp_path / "cloud.yaml"
    config.write_text(f"bundles: [{tiny_bundle}]\nplain: true\nlisten: tcp://127.0.0.1:0\n")
    code = f"""
import os, signal, sys
for name in ("torch", "onnx", "typer", "rich", "scipy", "matplotlib"):
    sys.modules[name] = None
from cloud_runtime.__main__ import main

listen = signal.signal

def listen_and_end(number, handler):
    listen(number, handler)
    if number == signal.SIGTERM:
        os.kill(os.getpid(), signal.SIGTERM)

signal.signal = listen_and_end
sys.exit(main([{str(config)!r}, "name=bare"]))
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=LIMIT_S, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()


def test_a_mistake_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "split_core.cli", "cloud", str(tmp_path), "--plain"]
    ended = subprocess.run(words, cwd=ROOT, timeout=LIMIT_S, capture_output=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.decode().startswith("offramp cloud: bundles: ")
    assert ended.stderr.decode().count("\n") == 1
