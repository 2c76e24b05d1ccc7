"""The floor under the worker: bare pyzmq ROUTER loops with CURVE, without checks, deadlines or metrics.

`python -m benchmarks.bare_zmq SECRET_KEY echo` answers every message with a reply of a verdict's size;
`... batch MODEL.onnx SHAPE` runs whatever is queued, up to 16, as one batch of the model.
The first line it prints is its address.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import zmq
from zmq.auth import load_certificate

MAX_BATCH = 16
REPLY = [bytes(28), bytes(40)]  # header and ten logits, as long as a Verdict's


def listen(secret_key: Path) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context().socket(zmq.ROUTER)
    socket.curve_publickey, socket.curve_secretkey = load_certificate(secret_key)
    socket.curve_server = True
    socket.bind("tcp://127.0.0.1:0")
    print(socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
    return socket


def echo(socket: zmq.Socket[bytes]) -> None:
    while True:
        peer, *_ = socket.recv_multipart()
        socket.send_multipart([peer, *REPLY])


def batch(socket: zmq.Socket[bytes], model: Path, shape: tuple[int, ...]) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    taken, made = session.get_inputs()[0].name, [session.get_outputs()[0].name]
    while True:
        requests = [socket.recv_multipart()]
        while len(requests) < MAX_BATCH:
            try:
                requests.append(socket.recv_multipart(zmq.DONTWAIT))
            except zmq.Again:
                break
        rows = np.concatenate([np.frombuffer(frames[2], np.float32).reshape(shape) for frames in requests])
        [logits] = session.run(made, {taken: rows})
        for frames, row in zip(requests, logits, strict=True):
            socket.send_multipart([frames[0], REPLY[0], row.tobytes()])


def main(words: list[str]) -> None:
    socket = listen(Path(words[0]))
    if words[1] == "echo":
        echo(socket)
    else:
        batch(socket, Path(words[2]), tuple(int(size) for size in words[3].split(",")))


if __name__ == "__main__":
    main(sys.argv[1:])
