"""Exit criteria: what was seen of a frame to a score in [0, 1], where higher always means surer."""

from __future__ import annotations

from split_core.registry import Registry

CRITERIA = Registry(
    "exit criterion",
    {
        "max_prob": "split_core.criteria.max_prob:MaxProb",
        "entropy": "split_core.criteria.entropy:Entropy",
        "margin": "split_core.criteria.margin:Margin",
        "energy": "split_core.criteria.energy:Energy",
        "patience": "split_core.criteria.patience:Patience",
        "patience_entropy": "split_core.criteria.patience_entropy:PatienceEntropy",
        "vote": "split_core.criteria.vote:Vote",
        "vote_or_unknown": "split_core.criteria.vote:VoteOrUnknown",
        "similarity": "split_core.criteria.similarity:Similarity",
        "similarity_patience": "split_core.criteria.similarity:SimilarityPatience",
        "geometric_ensemble": "split_core.criteria.geometric_ensemble:GeometricEnsemble",
        "cascade": "split_core.criteria.cascade:Cascade",
        "most_confident": "split_core.criteria.most_confident:MostConfident",
        "exit_share": "split_core.criteria.exit_share:ExitShare",
        "learned": "split_core.criteria.learned:Learned",
        "q_exit": "split_core.criteria.q_exit:QExit",
        "past_future": "split_core.criteria.past_future:PastFuture",
        "gates": "split_core.criteria.gates:Gates",
        "hash": "split_core.criteria.hash:Hash",
    },
)
