"""Exit criteria: logits to a confidence in [0, 1], where higher always means surer."""

from __future__ import annotations

from split_core.registry import Registry

CRITERIA = Registry(
    "exit criterion",
    {
        "max_prob": "split_core.criteria.max_prob:max_prob",
        "entropy": "split_core.criteria.entropy:normalised_certainty",
        "margin": "split_core.criteria.margin:margin",
    },
)
