"""Verbs of `offramp policy` that need bandits: a start from a fleet, a threshold from source data.

What they return is for machines and for people.  Files in, one file out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bandits import params, path_model
from bandits.of_file import FilePolicy
from bandits.policy import Policy
from bandits.published.source_threshold import tuned
from bandits.warm_start import warm_start
from split_core import policy as policies
from split_core import traces
from split_core.config import parsed
from split_core.errors import ConfigError, PolicyFileError
from split_core.files import write_atomically
from split_core.policy import PolicyFile
from split_core.policy_state import PolicyState, document, read_states
from split_core.policy_store import policy_path

Told = tuple[dict[str, Any], str]


def warm_start_file(path: Path, states: Sequence[str], weight: float, out: Path | None) -> Told:
    """`policy warm-start POLICY STATE... --weight N --out FILE`.

    Args:
        path: the policy file, or a store, that the new camera will run with.
        states: what other cameras keep, the `state` of their configurations.
        weight: how many observations the start may weigh.
        out: the new camera's `state`.

    Raises:
        ConfigError: no states, no output, or a weight that is none.
        PolicyFileError: a camera has learned nothing under this policy, drift has voided what it has, cameras
            have different profiles, or the policy keeps nothing that can be pooled.
    """
    if not states or out is None:
        raise ConfigError("expected: policy warm-start POLICY STATE ... --out FILE")
    weight = params.number("--weight", weight, 1.0, 1e9)
    policy = policies.load(policy_path(path))
    found = [_learned(policy, Path(state)) for state in states]
    profiles = {one.binding.get("profile", "") for one in found}
    if len(profiles) > 1:
        raise PolicyFileError(f"cameras with different profiles, {', '.join(sorted(profiles))}: pool those of one")
    start = warm_start(lambda: _fresh(policy), [one.state for one in found], weight=weight)
    write_atomically(out, document([PolicyState(found[0].binding, start)]))
    profile = found[0].binding.get("profile", "")
    told = {"out": str(out), "cameras": len(found), "weight": weight, "policy": policy.id, "profile": profile}
    return told, (
        f"{out}: a start from {len(found)} cameras, weighing {weight:g} observations; name it as 'state' of a camera "
        f"with this policy and profile {profile}"
    )


def _learned(policy: PolicyFile, path: Path) -> PolicyState:
    """What one camera has learned under `policy`."""
    wanted = {"bundle": policy.bundle_id, "policy": policy.id, "bandit": policy.bandit.name}
    kept = read_states(path)
    mine = next((one for one in kept if wanted.items() <= one.binding.items()), None)
    if mine is None:
        raise PolicyFileError(
            f"{path}: nothing learned under policy {policy.id[:12]}; expected a 'state' of its bandit"
        )
    if mine.void:
        raise PolicyFileError(f"{path}: drift has voided what this camera learned; leave it out")
    return mine


def _fresh(policy: PolicyFile) -> Policy:
    return FilePolicy(policy).make(np.random.default_rng(0), policy.objective.build())


def source_threshold_file(path: Path, trace: Path | None, costs: Path | None) -> Told:
    """`policy source-threshold FILE --trace SOURCE --costs COSTS`: the file again, with the best threshold as bandit.

    Args:
        path: the policy file.
        trace: of labelled source validation data.
        costs: as `offramp replay --save-costs` writes them.

    Raises:
        ConfigError: something is missing.
        PolicyFileError: a store, whose versions never change, or a trace of another bundle.
        TraceError: the trace has no labels.
    """
    if trace is None or costs is None or path.is_dir():
        raise ConfigError("expected: policy source-threshold FILE --trace SOURCE.npz --costs COSTS.json")
    policy, source = policies.load(path), traces.load(trace)
    if source.bundle_id and source.bundle_id != policy.bundle_id:
        raise PolicyFileError(f"{trace}: a trace of bundle {source.bundle_id[:12]}, {path} is for another one")
    model = path_model.load(costs).model_copy(update={"objective": policy.objective.build()})
    found = tuned(source, model)
    document = policy.model_dump(mode="json")
    document |= {"bandit": {"name": "source_threshold", "params": found}, "version": policy.version + 1}
    changed = parsed(document, PolicyFile, "policy")
    policies.save(changed, path)
    shown = f"split {found['split']}, threshold {found['threshold']:g}"
    return {"id": changed.id, **found}, f"{path}: version {changed.version}, {shown}"
