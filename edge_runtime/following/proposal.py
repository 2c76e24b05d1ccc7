"""When audits have broken a promise: the policy file that these audits would still carry, for a person to decide on.

It is written beside the policy in force and, when that is a store whose candidate nobody waits for, made its candidate.
It is not signed and nobody follows it: what a camera promises is changed by people.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bandits.envelope import Crossing
from edge_runtime.artefacts import Artefacts
from split_core import policy as policies
from split_core.errors import PolicyFileError
from split_core.policy import PolicyFile
from split_core.policy_store import PolicyStore
from split_core.telemetry.background import BackgroundWriter

FILE = "proposed.yaml"
Floors = tuple[float, ...]


def proposed(policy: PolicyFile, floors: Floors, version: int) -> PolicyFile:
    """`policy` with no threshold below `floors`; what was promised of the old ones is not in it.

    Args:
        policy: in force.
        floors: of exits 1..K-1; infinity never answers.
        version: of the new file.
    """
    exits = [
        section.model_copy(update={"certified": _raised(section.certified, floor)})
        for section, floor in zip(policy.exits, (*floors, 0.0), strict=True)
    ]
    evidence = policy.evidence.model_copy(update={"promises": (), "reached_histograms": ()})
    changes: dict[str, Any] = {"exits": tuple(exits), "evidence": evidence, "version": version}
    if policy.bandit.name == "cascade":
        changes["bandit"] = policy.bandit.model_copy(update={"params": _params(policy.bandit.params, floors)})
    if policy.segments:
        params = {value: _params(one, floors) for value, one in policy.segments.params.items()}
        changes["segments"] = policy.segments.model_copy(update={"params": params})
    return policy.model_copy(update=changes)


def _params(params: dict[str, Any], floors: Floors) -> dict[str, Any]:
    """Thresholds of a cascade, none below its exit's floor."""
    given = params.get("per_exit", 0.9)
    per_exit = given if isinstance(given, list | tuple) else [given] * len(floors)
    raised = {"per_exit": [_raised(one, floor) for one, floor in zip(per_exit, floors, strict=True)]}
    by_class = {
        exit: {label: _raised(one, floors[int(exit) - 1]) for label, one in classes.items()}
        for exit, classes in params.get("by_class", {}).items()
    }
    return {**params, **raised, **({"by_class": by_class} if by_class else {})}


def _raised(threshold: float | None, floor: float) -> float | None:
    """The greater of both; None never answers."""
    return None if threshold is None or math.isinf(floor) else max(threshold, floor)


class Proposals:
    """Writes them in a thread of its own.

    Args:
        tell: told in one line where a proposal is, or why there is none.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._own = tell, ""
        self._writer: BackgroundWriter[tuple[Artefacts, Crossing]] = BackgroundWriter(self._write, "proposals", 4)

    def put(self, artefacts: Artefacts, crossing: Crossing) -> None:
        """Propose what the audits of `crossing` carry; returns at once."""
        self._writer.put((artefacts, crossing))

    def close(self) -> None:
        """Write what is waiting, then end the thread."""
        self._writer.close()

    def _write(self, waiting: list[tuple[Artefacts, Crossing]]) -> None:
        for artefacts, crossing in waiting:
            try:
                self._tell(self._propose(artefacts, crossing.proposed))
            except (PolicyFileError, OSError) as error:
                self._tell(f"a new policy could not be proposed: {error}")

    def _propose(self, artefacts: Artefacts, floors: Floors) -> str:
        where = Path(artefacts.config.policy)
        store = PolicyStore(where) if where.is_dir() else None
        versions = [int(name.partition("-")[0]) for name in store.versions()] if store else []
        policy = proposed(artefacts.policy_file, floors, 1 + max(versions, default=artefacts.policy_file.version))
        path = artefacts.arrays / FILE  # beside the arrays that it names
        policies.save(policy, path)
        if store is None or store.pointer("candidate") not in ("", self._own):
            return f"a policy that the audits would carry is proposed: {path}"
        self._own = store.add(path)
        path.unlink()
        return f"a policy that the audits would carry is the candidate of {where}: {self._own}"
