"""How frames travel between a device and a worker."""

from __future__ import annotations

from split_core.registry import Registry

TRANSPORTS = Registry(
    "transport",
    {
        "zmq": "split_core.transport.zmq:ZmqTransport",
        "shaped": "split_core.transport.shaped:ShapedTransport",
        "memory": "split_core.transport.memory:MemoryTransport",
    },
)
