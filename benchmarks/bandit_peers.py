"""One choice and one reward through the bandits of other libraries: river and MABWiser, where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

Step = Callable[[], object]
Make = Callable[[int, Callable[[], float]], Step]
PEERS = ("river", "mabwiser")


def _river(name: str, **settings: float) -> Make:
    def make(arms: int, reward: Callable[[], float]) -> Step:
        from river import bandit, proba

        given = {"reward_obj": proba.Beta()} if name == "ThompsonSampling" else {}
        policy, names = getattr(bandit, name)(seed=1, **given, **settings), list(range(arms))

        def step() -> None:
            arm = policy.pull(names)
            policy.update(arm, reward())

        return step

    return make


def _mabwiser(name: str, **settings: float) -> Make:
    def make(arms: int, reward: Callable[[], float]) -> Step:
        from mabwiser import mab

        names = list(range(arms))
        policy = mab.MAB(names, getattr(mab.LearningPolicy, name)(**settings), seed=1)
        policy.fit(names, [reward() for _ in names])

        def step() -> None:
            arm = policy.predict()
            policy.partial_fit([arm], [reward()])

        return step

    return make


# What each of our indices is measured beside.
BESIDE: dict[str, dict[str, Make]] = {
    "ucb1": {"river UCB": _river("UCB", delta=1.0), "mabwiser UCB1": _mabwiser("UCB1", alpha=1.0)},
    "bayes_ucb": {"river BayesUCB (Beta)": _river("BayesUCB")},
    "thompson": {"river ThompsonSampling (Beta)": _river("ThompsonSampling")},
    "exp3": {"river Exp3": _river("Exp3", gamma=0.1)},
}


def installed() -> dict[str, Any]:
    """Version of each library, or that it is not installed."""
    return {name: _version(name) for name in PEERS}


def beside(index: str) -> dict[str, Make]:
    """The peers of one of our indices that can be run here."""
    missing = [name for name in PEERS if _version(name) is None]
    return {name: make for name, make in BESIDE.get(index, {}).items() if name.split()[0] not in missing}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
