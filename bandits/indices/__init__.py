"""Bandits made of two choices: an index that ranks arms, and what is forgotten of their rewards.

An index is a pure function of `Statistics`: a class in one file and one line here.  Forgetting decides what those
statistics still hold, so every index can be had with every way to forget.  EXP3 alone keeps weights of its own.
`bandits.indices.build.make_bandit` puts them together.
"""

from __future__ import annotations

from split_core.registry import Registry

INDICES = Registry(
    "index",
    {
        "ucb1": "bandits.indices.ucb1:Ucb1",
        "ucb_v": "bandits.indices.ucb_v:UcbV",
        "ucb_tuned": "bandits.indices.ucb_tuned:UcbTuned",
        "kl_ucb": "bandits.indices.kl_ucb:KlUcb",
        "bayes_ucb": "bandits.indices.bayes_ucb:BayesUcb",
        "thompson": "bandits.indices.thompson:Thompson",
        "exp3": "bandits.indices.exp3:Exp3",
    },
)

FORGETTING = Registry(
    "forgetting",
    {
        "none": "bandits.indices.forgetting:Keep",
        "discount": "bandits.indices.forgetting:Discount",
        "window": "bandits.indices.window:Window",
        "change": "bandits.indices.change:Change",
    },
)
