"""The policy of a policy file as a camera makes it: its bandit, the thresholds of its stream, within its guard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bandits.build import make_policy
from bandits.envelope import Envelope, Pledge
from bandits.guard import Guard, Limits, Predicate
from bandits.policy import Policy
from split_core.errors import PolicyFileError
from split_core.objective import Objective
from split_core.policy import BanditSection, PolicyFile
from split_core.policy_guard import EnvelopeSection


@dataclass(frozen=True)
class FilePolicy:
    """What is needed to make it.

    Attributes:
        file: says who decides and what is guarded.
        metadata: what is true of the stream, such as `site: north`.
        bandit: decides instead of the file's.
        predicate: the operator's own rule about answers.
    """

    file: PolicyFile
    metadata: Mapping[str, str] = field(default_factory=dict)
    bandit: BanditSection | None = None
    predicate: Predicate | None = None

    def make(self, rng: np.random.Generator, objective: Objective) -> Policy:
        """With nothing learned yet, within the guard if there is anything to guard.

        Raises:
            ConfigError: no such bandit or parameter.
            PolicyFileError: the file promises what it does not certify.
        """
        exits, bandit, segments = len(self.file.exits), self.bandit or self.file.bandit, self.file.segments
        # Thresholds of segments are those of the policy file's own bandit.
        own = segments.of(dict(self.metadata)) if segments and not self.bandit else {}
        inner = make_policy(bandit.name, exits=exits, rng=rng, objective=objective, params={**bandit.params, **own})
        limits = self.limits()
        if self.file.envelope is None:
            return Guard(inner, limits, exits=exits) if limits else inner
        fallback = self._fallback(self.file.envelope, rng, objective)
        return Envelope(inner, limits, exits=exits, pledge=self._pledge(self.file.envelope), fallback=fallback)

    def limits(self) -> Limits:
        """What is kept from being answered early."""
        guard = self.file.guard
        if guard is None:
            return Limits(predicate=self.predicate)
        return Limits(
            never_early=frozenset(guard.never_early),
            never=guard.never(dict(self.metadata)),
            deepest=guard.deepest,
            sets=guard.abstain.build() if guard.abstain else None,
            predicate=self.predicate,
        )

    def _pledge(self, section: EnvelopeSection) -> Pledge:
        """Thresholds that a cascade of the file plays are what was certified; others have the exits' floors."""
        file = self.file
        certified, target = file.evidence.target, section.target or file.evidence.target
        if file.bandit.name == "cascade" and not self.bandit:
            floors = (0.0,) * (len(file.exits) - 1)
        elif certified is None or (section.target or 0.0) > certified:
            asked = "nothing" if certified is None else f"an agreement of {certified:g}"
            raise PolicyFileError(f"envelope: this file certifies {asked}; run 'offramp calibrate --target'")
        else:
            floors = tuple(math.inf if one.certified is None else one.certified for one in file.exits[:-1])
        if target is None:
            raise PolicyFileError("envelope: expected a target, the share of answers that the full network agrees with")
        return Pledge(target, section.false_alarm, section.share, floors)

    def _fallback(self, section: EnvelopeSection, rng: np.random.Generator, objective: Objective) -> Policy | None:
        if not section.fallback:
            return None
        params = {"per_exit": section.fallback}
        return make_policy("cascade", exits=len(self.file.exits), rng=rng, objective=objective, params=params)
