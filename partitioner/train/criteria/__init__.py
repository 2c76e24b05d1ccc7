"""What fits the arrays of exit criteria, on a network and heads that stay as they are."""

from __future__ import annotations

from split_core.registry import Registry

TRAINERS = Registry(
    "criterion that is trained",
    {
        "learned": "partitioner.train.criteria.learned:LearnedTrainer torch",
        "gates": "partitioner.train.criteria.gates:GatesTrainer torch",
        "q_exit": "partitioner.train.criteria.q_exit:QExitTrainer torch",
        "past_future": "partitioner.train.criteria.past_future:PastFutureTrainer torch",
        "geometric_ensemble": "partitioner.train.criteria.geometric_ensemble:GeometricEnsembleTrainer torch",
        "cascade": "partitioner.train.criteria.cascade:CascadeTrainer torch",
        "hash": "partitioner.train.criteria.hash:HashTrainer",
        "exit_share": "partitioner.train.criteria.exit_share:ExitShareTrainer",
    },
)
