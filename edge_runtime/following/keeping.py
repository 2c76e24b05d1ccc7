"""What a camera does when audits prove that its promise is broken: say so, mark its answers, propose another policy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from bandits.envelope import STAGES, Crossing, Envelope
from edge_runtime.frames.ticket import Rules
from split_core.drift.base import Drift
from split_core.drift.monitor import Finding
from split_core.telemetry.audit import Promise

DETECTOR = "agreement"


def promise(rules: Rules) -> Promise | None:
    """How the envelope of `rules` stands; None when there is none."""
    policy = rules.policy
    if not isinstance(policy, Envelope):
        return None
    return Promise(policy.pledge.target, *policy.agreement(), STAGES.index(policy.stage))


class Keeping:
    """Looks after the envelope of the rules that an audit came back to.

    Args:
        on_drift: told, like of any other drift, that the promises are void; `Rules.monitor` says so already.
        note: into the decision log.
        propose: another policy.
    """

    def __init__(
        self,
        on_drift: Callable[[Finding], None],
        note: Callable[[dict[str, Any]], None],
        propose: Callable[[Crossing], None],
    ) -> None:
        self._on_drift, self._note, self._propose = on_drift, note, propose

    def look(self, rules: Rules) -> None:
        """Act if an audit has just proved anything."""
        crossing = rules.policy.crossing() if isinstance(rules.policy, Envelope) else None
        if crossing is None:
            return
        finding = Finding(DETECTOR, 0, Drift(crossing.value, crossing.limit, True))
        if rules.monitor.cause is None:
            rules.monitor.voided(finding)
        self._on_drift(finding)
        self._note({"policy": rules.id[:12], **asdict(_legible(crossing))})
        self._propose(crossing)


def _legible(crossing: Crossing) -> Crossing:
    """As JSON types: what never answers has no number."""
    return replace(crossing, floors=_known(crossing.floors), proposed=_known(crossing.proposed))


def _known(floors: tuple[float, ...]) -> Any:
    return [None if math.isinf(floor) else floor for floor in floors]
