"""How much each exit's loss counts, and when."""

from __future__ import annotations

from split_core.registry import Registry

WEIGHTINGS = Registry(
    "weighting",
    {
        "uniform": "partitioner.train.joint.weightings.uniform:Uniform torch",
        "depth": "partitioner.train.joint.weightings.depth:Depth torch",
        "sdn": "partitioner.train.joint.weightings.sdn:Sdn torch",
        "dynexit": "partitioner.train.joint.weightings.dynexit:DynExit torch",
    },
)
