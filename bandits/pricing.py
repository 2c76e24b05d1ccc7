"""Where replay has its costs from: a file, live runs, or the papers; the first two are measured."""

from __future__ import annotations

import math
from pathlib import Path

from bandits import path_model
from bandits.measured import LiveRuns, measured_model
from bandits.path_model import PathModel
from split_core import profiles
from split_core.errors import ConfigError
from split_core.policy import PolicyFile

# SplitEE's constants: each layer .1, an offload .3, the cloud is free.
PAPERS = "lambda=0.1,offload=0.3"


def measured(
    runs: LiveRuns, policy: PolicyFile | None, profile: Path | None, costs: Path | None, deadline_ms: float | None
) -> PathModel | None:
    """Costs of a file or as live runs met them; None when neither is there.

    Raises:
        ProfileError, PolicyFileError, TraceError: what is there does not fit together.
    """
    if costs:
        return path_model.load(costs)
    if not (policy and profile and runs.records):
        return None
    return measured_model(runs, policy, profiles.load(profile), deadline_ms=deadline_ms, seed=0)


def cost_models(found: PathModel | None, papers: str, exits: int) -> dict[str, PathModel]:
    """By name, the one to believe first: "measured" where there is one, and "published" always beside it.

    Args:
        found: of `measured`.
        papers: constants that a person gave, or nothing.
        exits: of the trace.

    Raises:
        ConfigError: no costs were given at all, or no such constants.
    """
    if found is None and not papers:
        raise ConfigError(
            "nothing says what things cost: give --costs FILE, --published lambda=0.1,offload=0.3, "
            "or --policy, --profile and at least one --log"
        )
    beside = {"published": published_model(papers or PAPERS, exits)}
    return beside if found is None else {"measured": found, **beside}


def published_model(text: str, exits: int) -> PathModel:
    """The papers' constants, `lambda=0.1,offload=0.3` and maybe `head=`, `mu=`.

    Raises:
        ConfigError: no such constants.
    """
    try:
        values = {key.strip(): float(value) for key, value in (item.split("=") for item in text.split(","))}
        per_layer, offload = values.pop("lambda"), values.pop("offload")
        head, mu = values.pop("head", 0.0), values.pop("mu", 1.0)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"--published {text!r}: expected lambda=0.1,offload=0.3 and maybe head=, mu=") from error
    if values:
        raise ConfigError(f"--published: {next(iter(values))!r} is none of lambda, offload, head, mu")
    for name, value in {"lambda": per_layer, "offload": offload, "head": head, "mu": mu}.items():
        if not 0.0 <= value < math.inf:
            raise ConfigError(f"--published: {name} must be a finite number of at least 0, got {value:g}")
    return PathModel.published(exits, per_layer=per_layer, offload=offload, head=head, mu=mu)
