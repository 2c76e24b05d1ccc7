"""The peer of benchmarks.outage: a camera as one would write it, with a plain timeout and a retry.

The first segment here, the rest by the worker; when no answer comes in time, the connection is closed and made anew (as
in the ZeroMQ guide's "lazy pirate"), and the frame is sent again; after `--tries` it is given up or, with `--local`,
finished here.  The same segments, packing, keys and worker as ours; the newest frame is taken, as ours does.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.frames.prefix import Prefix, Run
from split_core import bundle as bundles
from split_core import wire
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.codecs import CODECS
from split_core.codecs.base import Encoded
from split_core.errors import WireError
from split_core.transport.base import Channel
from split_core.transport.keys import device_curve
from split_core.transport.zmq import ZmqTransport

CODEC = "u8z"


class Connection:
    """To one worker; made anew after every timeout."""

    def __init__(self, address: str, key: Path, bundle_id: str) -> None:
        self._address, self._transport, self._bundle_id = address, ZmqTransport(device_curve(key)), bundle_id
        self._channel: Channel = self._transport.connect(address)
        self._last_id = 0

    def ask(self, tensors: Sequence[Encoded], timeout_s: float) -> bool:
        """One try; did a verdict come?"""
        self._last_id += 1
        message = wire.Offload(self._last_id, self._bundle_id, 1, CODEC, timeout_s * 1e3, tuple(tensors))
        until_s, sent = time.monotonic() + timeout_s, False
        while (left_s := until_s - time.monotonic()) > 0:
            sent = sent or self._channel.send(wire.encode(message))
            if sent and self._answered():
                return True
            self._channel.wait(min(left_s, 0.02 if sent else 0.005))
        self._channel.close()
        self._channel = self._transport.connect(self._address)
        return False

    def _answered(self) -> bool:
        while (frames := self._channel.receive()) is not None:
            try:
                message = wire.decode(frames)
            except WireError:
                continue
            if isinstance(message, wire.Verdict) and message.request_id == self._last_id:
                return True
        return False


def answer(run: Run, connection: Connection, options: argparse.Namespace) -> str:
    """Who answered the frame: "cloud", "edge", or "" for nobody."""
    run.deepen()
    codec = CODECS.load(CODEC)()
    tensors = [codec.encode(tensor) for tensor in run.tensors(1)]
    if any(connection.ask(tensors, options.timeout_ms / 1e3) for _ in range(options.tries)):
        return "cloud"
    if not options.local:
        return ""
    while run.depth < run.prefix.exits:
        run.deepen()
    run.logits()
    return "edge"


def outcome(seq: int, captured_at: float, where: str) -> dict[str, Any]:
    """As a camera tells it."""
    return {"seq": seq, "captured_at": captured_at, "latency_ms": (time.time() - captured_at) * 1e3, "where": where}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bundle", "key", "images", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--address", required=True)
    for name in ("fps", "timeout_ms"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument("--tries", type=int, required=True)
    parser.add_argument("--local", action="store_true")
    options = parser.parse_args()
    images = np.load(options.images)["images"][..., None]
    bundle = bundles.load(options.bundle)
    prefix = Prefix(bundle, OnnxRuntimeBackend())
    connection = Connection(options.address, options.key, bundle.id)
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    with options.out.open("w", encoding="utf-8", buffering=1) as lines:
        started_s, started_at, seq = time.monotonic(), time.time(), -1
        while not ending:
            newest = int((time.monotonic() - started_s) * options.fps)
            if newest == seq:
                time.sleep(max(0.0, started_s + (seq + 1) / options.fps - time.monotonic()))
                continue
            seq = newest
            where = answer(prefix.start(images[seq % len(images)]), connection, options)
            lines.write(json.dumps(outcome(seq, started_at + seq / options.fps, where)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
