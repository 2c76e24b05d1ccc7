"""What an exit is to learn: each a loss on its logits."""

from __future__ import annotations

from split_core.registry import Registry

TARGETS = Registry(
    "training target",
    {
        "labels": "partitioner.train.targets.labels:Labels torch",
        "selfxit": "partitioner.train.targets.selfxit:SelfXit torch",
        "distilled": "partitioner.train.targets.distilled:Distilled torch",
        "fastbert": "partitioner.train.targets.fastbert:FastBert torch",
    },
)
