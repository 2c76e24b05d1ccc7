"""What happens to a stream while a policy learns from it: one file each, all of them labelled in every table."""

from __future__ import annotations

from split_core.registry import Registry

SCENARIOS = Registry(
    "scenario",
    {
        "stationary": "bandits.scenarios.stationary:make_stationary",
        "shift": "bandits.scenarios.shift:make_shift",
        "bandwidth_steps": "bandits.scenarios.bandwidth_steps:make_bandwidth_steps",
        "price_steps": "bandits.scenarios.price_steps:make_price_steps",
        "outage": "bandits.scenarios.outage:make_outage",
    },
)
