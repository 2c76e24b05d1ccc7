"""Where outcomes go.  A sink that hangs or fails never delays a frame; what was lost is counted."""

from __future__ import annotations

from split_core.registry import Registry

SINKS = Registry(
    "sink",
    {
        "jsonl": "edge_runtime.sinks.json_lines:JsonLines",
        "mqtt": "edge_runtime.sinks.mqtt:Mqtt mqtt",
        "webhook": "edge_runtime.sinks.webhook:Webhook",
        "callback": "edge_runtime.sinks.callback:Callback",
    },
)
