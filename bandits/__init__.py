"""Numbers in, arm out: policies, rewards and replay.  Nothing here opens a socket or a model."""

from __future__ import annotations

from split_core.registry import Registry

POLICIES = Registry(
    "policy",
    {
        "grid": "bandits.grid:make_grid",
        "splitee": "bandits.splitee:make_splitee",
        "splitee_s": "bandits.splitee_s:make_splitee_s",
        "ucbee": "bandits.ucbee:make_ucbee",
        "uee_ucb": "bandits.published.uee_ucb:make_uee_ucb",
        "hi_lcb": "bandits.published.hi_lcb:make_hi_lcb",
        "hi_lcb_lite": "bandits.published.hi_lcb:make_hi_lcb_lite",
        "hedge_hi": "bandits.published.hedge_hi:make_hedge_hi",
        "h2t2": "bandits.published.h2t2:make_h2t2",
        "adaee": "bandits.published.adaee:make_adaee",
        "adaee_buffer": "bandits.published.adaee_buffer:make_adaee_buffer",
        "ceebert1": "bandits.published.ceebert:make_ceebert1",
        "ceebert2": "bandits.published.ceebert:make_ceebert2",
        "a_capeen": "bandits.published.a_capeen:make_a_capeen",
        "lin_ucb": "bandits.published.lin_ucb:make_lin_ucb",
        "sequential": "bandits.sequential.policy:make_sequential",
        "i_splitee": "bandits.published.i_splitee:make_i_splitee",
        "cascade": "bandits.cascade:make_cascade",
        "fixed": "bandits.baselines:make_fixed",
        "source_threshold": "bandits.published.source_threshold:make_source_threshold",
        "random": "bandits.baselines:make_random",
        "edge_only": "bandits.baselines:make_edge_only",
        "cloud_only": "bandits.baselines:make_cloud_only",
        "offload_all": "bandits.baselines:make_offload_all",
    },
)
