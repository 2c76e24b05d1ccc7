"""What a camera keeps of a policy between two runs: what its bandit learned, and whether drift has voided it.

One JSON file: the policy in force, and behind it those that were in force before, newest first; so that a policy
that comes back goes on with what it had learned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from split_core.drift.base import Drift
from split_core.drift.monitor import Finding
from split_core.errors import PolicyFileError, reason

KEEP = 8  # policies; a grid's state is some kilobytes


@dataclass(frozen=True, slots=True)
class PolicyState:
    """Of one policy.

    Attributes:
        binding: ids that must be the same for it to be of use: bundle, policy, profile, bandit.
        state: what was learned, as `Policy.state` gives it.
        void: what drift has voided its promises; None when nothing has.
        drift: what its monitor remembers, as `DriftMonitor.saved` gives it.
    """

    binding: dict[str, str]
    state: dict[str, Any]
    void: Finding | None = None
    drift: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        void = {"void": asdict(self.void)} if self.void else {}
        return {"binding": self.binding, "state": self.state, "drift": self.drift, **void}

    def summary(self) -> dict[str, Any]:
        """Without what was learned, as JSON types."""
        return {"binding": self.binding, "void": asdict(self.void) if self.void else None}

    @staticmethod
    def from_json(value: dict[str, Any]) -> PolicyState:
        """Read back.

        Raises:
            KeyError, TypeError: it is no such state.
        """
        void = value.get("void")
        cause = Finding(void["detector"], int(void["exit"]), Drift(**void["drift"])) if void else None
        return PolicyState(dict(value["binding"]), value["state"], cause, dict(value.get("drift", {})))


def document(states: Iterable[PolicyState]) -> bytes:
    """The file's content; the first state is that of the policy in force."""
    first, *before = (state.to_json() for state in states)
    return json.dumps({**first, "before": before[: KEEP - 1]}).encode()


def read_states(path: Path) -> list[PolicyState]:
    """The policy in force first; nothing when there is no file.

    Raises:
        PolicyFileError: it cannot be read.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return [PolicyState.from_json(one) for one in (value, *value.get("before", ()))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PolicyFileError(
            f"{path}: not what a camera keeps of its policies ({reason(error)}); expected its 'state'"
        ) from error


def told(states: Iterable[PolicyState]) -> list[str]:
    """One line per policy, for people."""
    lines = []
    for place, one in enumerate(states):
        void = "as calibrated" if one.void is None else f"VOID, {_cause(one.void)}"
        when = "before  " if place else "in force"
        lines.append(f"{when}  policy {one.binding.get('policy', '')[:12]}  {one.binding.get('bandit', '')}: {void}")
    return lines


def _cause(finding: Finding) -> str:
    value, limit = finding.drift.value, finding.drift.limit
    return f"{finding.detector} at exit {finding.exit}: {value:.3g} over {limit:.3g}"
