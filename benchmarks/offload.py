"""The worker's overhead: offload round trips through a real worker process over bare pyzmq loops.

    python -m benchmarks.offload [--quick] [--json FILE]

Same bytes, same CURVE, rounds in turn (A B A B) in one run; ratios are medians over pairs of rounds.
Ours includes everything: wire checks on both sides, admission, scheduling, ONNX, metrics.  The peer only
moves the bytes (`echo`), or runs the same ONNX on whatever is queued (`batch`).
"""

from __future__ import annotations

import gc
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import zmq
from onnx import TensorProto, helper, numpy_helper
from zmq.auth import load_certificate

from benchmarks.harness import Goal, arguments, at_least, at_most, report, statistics
from partitioner.build import Wish, partition
from partitioner.manifest import Identity
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle, wire
from split_core.codecs import CODECS
from split_core.transport.keys import device_curve, make_keys
from split_core.transport.zmq import ZmqTransport

CLASSES = 10
NO_OP_BYTES = (1_024, 14_336, 100_352)  # a small one, what fits TCP's first window, the peers' 100 KB
CHANNELS, SIDE = 32, 28  # 100,352 bytes of float32
CONNECTIONS = 4  # that share the requests in flight
STARTUP_S, ANSWER_S = 30.0, 10.0


class Client(Protocol):
    """Somebody who can have several requests in flight."""

    def ask(self) -> None:
        """Send one request."""

    def hear(self) -> None:
        """Wait for one answer."""

    def close(self) -> None:
        """Disconnect."""


class OurClient:
    """What a device does: wire, channel, checks of the answer."""

    def __init__(self, address: str, key: Path, message: wire.Offload) -> None:
        self._channel = ZmqTransport(device_curve(key)).connect(address)
        self._message = message
        give_up_s = time.monotonic() + STARTUP_S
        while not self._channel.send(wire.encode(message)):
            if time.monotonic() > give_up_s:
                raise TimeoutError("the worker does not answer")
            self._channel.wait(0.01)
        self.hear()

    def ask(self) -> None:
        if not self._channel.send(wire.encode(self._message)):
            raise RuntimeError("the worker takes no more")

    def hear(self) -> None:
        while (frames := self._channel.receive()) is None:
            self._channel.wait(ANSWER_S)
        answer = wire.decode(frames)
        if not isinstance(answer, wire.Verdict):
            raise RuntimeError(f"expected a verdict, got {answer}")

    def close(self) -> None:
        self._channel.close()


class BareClient:
    """A blocking DEALER that looks at nothing."""

    def __init__(self, address: str, key: Path, message: wire.Offload) -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._socket.curve_publickey, self._socket.curve_secretkey = zmq.curve_keypair()
        self._socket.curve_serverkey = load_certificate(key)[0]
        self._socket.connect(address)
        self._frames = [bytes(frame) for frame in wire.encode(message)]
        self.ask()
        self.hear()

    def ask(self) -> None:
        self._socket.send_multipart(self._frames, copy=False)

    def hear(self) -> None:
        self._socket.recv_multipart()

    def close(self) -> None:
        self._context.destroy(linger=0)


def round_trips_ms(clients: Sequence[Client], count: int, in_flight: int) -> tuple[list[float], float]:
    """Latency of each of `count` requests, `in_flight` at a time, and requests per second."""
    took: list[float] = []
    waiting: deque[tuple[float, Client]] = deque()
    turns = itertools.cycle(clients)
    started_s = time.perf_counter()
    for number in range(count + in_flight):
        if number >= in_flight:
            sent_s, client = waiting.popleft()  # answers of one connection keep their order
            client.hear()
            took.append((time.perf_counter() - sent_s) * 1e3)
        if number < count:
            client = next(turns)
            waiting.append((time.perf_counter(), client))
            client.ask()
    return took, count / (time.perf_counter() - started_s)


def in_turn(
    ours: Sequence[Client], peer: Sequence[Client], *, rounds: int, count: int, in_flight: int
) -> dict[str, Any]:
    """Rounds of both, A B A B."""
    for clients in (ours, peer):
        round_trips_ms(clients, count, in_flight)  # warm up
    ms: dict[str, list[float]] = {"ours": [], "peer": []}
    pairs = []
    for _ in range(rounds):
        (our_ms, our_rate), (peer_ms, peer_rate) = (round_trips_ms(c, count, in_flight) for c in (ours, peer))
        pairs.append((float(np.median(our_ms)), float(np.median(peer_ms)), our_rate, peer_rate))
        ms["ours"] += our_ms
        ms["peer"] += peer_ms
    table = np.array(pairs)
    return {
        "latency_ratio": float(np.median(table[:, 0] / table[:, 1])),
        "rate_ratio": float(np.median(table[:, 2] / table[:, 3])),
        "ours": {**statistics(ms["ours"], "ms"), "per_s": float(np.median(table[:, 2]))},
        "peer": {**statistics(ms["peer"], "ms"), "per_s": float(np.median(table[:, 3]))},
    }


def no_op_model(width: int) -> onnx.ModelProto:
    """`x` (N, width) float32 to its first ten columns: as little as a network can do."""
    bounds = {"from": [0], "to": [CLASSES], "axis": [1]}
    nodes = [helper.make_node("Identity", ["x"], ["hidden_1"])]
    nodes += [helper.make_node("Slice", ["hidden_1", *bounds], [f"exit_{k}"], name=f"slice_{k}") for k in (1, 2)]
    return model("no_op", nodes, (width,), {name: np.array(value, np.int64) for name, value in bounds.items()})


def tiny_model() -> onnx.ModelProto:
    """Mean per channel, then one linear layer: the peers' tiny tail."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Relu", ["x"], ["hidden_1"])]
    for k in (1, 2):
        nodes += [
            helper.make_node("GlobalAveragePool", ["hidden_1"], [f"mean_{k}"]),
            helper.make_node("Flatten", [f"mean_{k}"], [f"flat_{k}"]),
            helper.make_node("Gemm", [f"flat_{k}", f"weight_{k}"], [f"exit_{k}"]),
        ]
    weights = {f"weight_{k}": rng.normal(size=(CHANNELS, CLASSES)).astype(np.float32) for k in (1, 2)}
    return model("tiny", nodes, (CHANNELS, SIDE, SIDE), weights)


def model(
    name: str, nodes: list[onnx.NodeProto], shape: tuple[int, ...], weights: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """Input `x` and hidden state of one shape, two exits."""
    value = helper.make_tensor_value_info
    outputs = [value("hidden_1", TensorProto.FLOAT, ["batch", *shape])]
    outputs += [value(f"exit_{k}", TensorProto.FLOAT, ["batch", CLASSES]) for k in (1, 2)]
    graph = helper.make_graph(
        nodes,
        name,
        [value("x", TensorProto.FLOAT, ["batch", *shape])],
        outputs,
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def make_bundle(folder: Path, network: onnx.ModelProto, name: str) -> Path:
    """A real bundle of it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.onnx"
    path.write_bytes(network.SerializeToString())
    network = read_network(str(path))
    return partition(network, folder, identity=Identity(name=name), wish=Wish(), trial=Trial(), clock=time.time)


def offload_of(folder: Path, shape: tuple[int, ...]) -> wire.Offload:
    """A raw hidden state at cut 1."""
    array = np.random.default_rng(1).normal(size=(1, *shape)).astype(np.float32)
    return wire.Offload(1, bundle.load(folder).id, 1, "raw", 10_000.0, (CODECS.load("raw")().encode(array),))


@contextmanager
def process(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", *words]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(STARTUP_S)
        if running.stdout:
            running.stdout.close()


@contextmanager
def worker(folder: Path, secret: Path) -> Iterator[str]:
    """A worker process that serves what is in `folder`; its address."""
    config, ready = folder / "cloud.yaml", folder / "ready.json"
    config.write_text(f"listen: tcp://127.0.0.1:0\nbundles: [{folder}]\ncurve: {{secret_key: {secret}}}\n")
    with process(["split_core.cli", "cloud", str(config), "--ready-file", str(ready)]) as running:
        give_up_s = time.monotonic() + STARTUP_S
        while not ready.exists() and running.poll() is None and time.monotonic() < give_up_s:
            time.sleep(0.02)
        yield str(json.loads(ready.read_text())["address"])


@contextmanager
def bare(words: list[str], secret: Path) -> Iterator[str]:
    """A bare loop; its address."""
    with process(["benchmarks.bare_zmq", str(secret), *words]) as running:
        assert running.stdout is not None
        yield running.stdout.readline().strip()


def measure(quick: bool, folder: Path) -> dict[str, Any]:
    key, secret = make_keys(folder / "keys", "worker")
    rounds, count = (5, 200) if quick else (15, 1000)
    bundles = folder / "bundles"
    no_ops = {size: make_bundle(bundles, no_op_model(size // 4), f"no-op-{size}") for size in NO_OP_BYTES}
    tiny = make_bundle(bundles, tiny_model(), "tiny")
    tail = tiny / bundle.load(tiny).manifest.segments[1].file
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        address = stack.enter_context(worker(bundles, secret))
        echo = stack.enter_context(bare(["echo"], secret))
        shape = (CHANNELS, SIDE, SIDE)
        batch = stack.enter_context(bare(["batch", str(tail), ",".join(map(str, (1, *shape)))], secret))

        def pair(message: wire.Offload, peer: str, in_flight: int) -> dict[str, Any]:
            connections = min(CONNECTIONS, in_flight)
            ours = [OurClient(address, key, message) for _ in range(connections)]
            theirs = [BareClient(peer, key, message) for _ in range(connections)]
            try:
                return in_turn(ours, theirs, rounds=rounds, count=count, in_flight=in_flight)
            finally:
                for client in (*ours, *theirs):
                    client.close()

        for size, made in no_ops.items():
            figures[f"no-op model, {size} B, c=1, over echo"] = pair(offload_of(made, (size // 4,)), echo, 1)
        for in_flight in (1, 16):
            name = f"tiny model, 100 KB, c={in_flight}, over bare batching loop"
            figures[name] = pair(offload_of(tiny, shape), batch, in_flight)
    return figures


def goals(figures: dict[str, Any]) -> list[Goal]:
    made = []
    for size in NO_OP_BYTES:
        name = f"no-op model, {size} B, c=1, over echo"
        made.append(at_most(name, figures[name]["latency_ratio"], "x", 1.3, "bare pyzmq CURVE echo"))
        made.append(at_most(name, figures[name]["ours"]["median"], "ms", 1.0, "ourselves"))
    name = "tiny model, 100 KB, c=16, over bare batching loop"
    peer = "bare ROUTER loop, opportunistic batching, CURVE"
    made.append(at_least(name, figures[name]["rate_ratio"], "x", 0.7, peer))
    return made


def main() -> None:
    options = arguments(__doc__)
    gc.freeze()  # as the programs do: no collection may walk what was loaded for good
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options.quick, Path(folder))
    report("offload", figures, goals(figures), options)


if __name__ == "__main__":
    main()
