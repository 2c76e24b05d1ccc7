"""Between a camera and a worker, for benchmarks.outage: messages are lost, come late, or are garbage.

Speaks to cameras as the worker, with its keys, and to the worker as each camera.  Prints its address; each line on
standard input, such as {"loss": 0.3}, {"late_ms": 300} or {"garbage": true}, replaces what is done to messages.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import zmq
from zmq.auth import load_certificate

Message = list[bytes]


class Spoiler:
    """A ROUTER towards cameras, and towards the worker a DEALER for each."""

    def __init__(self, worker: str, key: Path) -> None:
        self._worker, self._public_secret = worker, load_certificate(key)
        self._context = zmq.Context()
        self._cameras = self._context.socket(zmq.ROUTER)
        self._cameras.curve_server = True
        self._cameras.curve_publickey, self._cameras.curve_secretkey = self._public_secret
        self._cameras.bind("tcp://127.0.0.1:0")
        self.address = self._cameras.getsockopt_string(zmq.LAST_ENDPOINT)
        self._workers: dict[bytes, zmq.Socket[bytes]] = {}
        self._due: list[tuple[float, int, bytes, Message]] = []
        self._order, self._random = itertools.count(), random.Random(0)
        self.manner: dict[str, Any] = {}

    def run(self) -> None:
        """For ever."""
        poller = zmq.Poller()
        poller.register(self._cameras, zmq.POLLIN)
        while True:
            wait_ms = max(0.0, self._due[0][0] - time.monotonic()) * 1e3 if self._due else 1000.0
            ready = dict(poller.poll(wait_ms))
            if self._cameras in ready:
                peer, *frames = self._cameras.recv_multipart()
                if peer not in self._workers:
                    poller.register(self._connect(peer), zmq.POLLIN)
                if not self._lost():
                    self._workers[peer].send_multipart(frames)
            for peer, socket in self._workers.items():
                if socket in ready:
                    self._take(peer, socket.recv_multipart())
            self._deliver()

    def _connect(self, peer: bytes) -> zmq.Socket[bytes]:
        socket = self._workers[peer] = self._context.socket(zmq.DEALER)
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.curve_serverkey = self._public_secret[0]
        socket.connect(self._worker)
        return socket

    def _lost(self) -> bool:
        return self._random.random() < self.manner.get("loss", 0.0)

    def _take(self, peer: bytes, frames: Message) -> None:
        if self._lost():
            return
        if self.manner.get("garbage"):
            frames = [os.urandom(len(frame)) for frame in frames]
        due_s = time.monotonic() + self.manner.get("late_ms", 0.0) / 1e3
        heapq.heappush(self._due, (due_s, next(self._order), peer, frames))

    def _deliver(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, peer, frames = heapq.heappop(self._due)
            self._cameras.send_multipart([peer, *frames])

    def obey(self) -> None:
        """Each line of standard input replaces the manner."""
        for line in sys.stdin:
            self.manner = json.loads(line)
            print(line.strip(), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", required=True)
    parser.add_argument("--key", type=Path, required=True, help="the worker's .key_secret")
    options = parser.parse_args()
    spoiler = Spoiler(options.to, options.key)
    print(json.dumps({"address": spoiler.address}), flush=True)
    threading.Thread(target=spoiler.obey, daemon=True).start()
    spoiler.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
