"""Exit criteria: what was seen of a frame to a score in [0, 1], where higher always means surer."""

from __future__ import annotations

from split_core.registry import Registry

CRITERIA = Registry(
    "exit criterion",
    {
        "max_prob": "split_core.criteria.max_prob:MaxProb",
        "entropy": "split_core.criteria.entropy:Entropy",
        "margin": "split_core.criteria.margin:Margin",
    },
)
