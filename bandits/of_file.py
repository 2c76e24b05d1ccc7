"""The policy of a policy file as a camera makes it: its bandit, the thresholds of its stream, within its guard.

The same over a trace, for replay.  There nothing is audited, so the promise of an envelope is never found broken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bandits.build import make_policy
from bandits.envelope import Envelope, Pledge
from bandits.guard import Guard, Limits, Predicate
from bandits.policy import Action, Context, Observation, Plan, Policy
from split_core.errors import PolicyFileError
from split_core.objective import Objective
from split_core.policy import BanditSection, PolicyFile
from split_core.policy_guard import EnvelopeSection
from split_core.readings import Reader, Reading
from split_core.shown import Shown
from split_core.traces import Traces


@dataclass(frozen=True)
class FilePolicy:
    """What is needed to make it.

    Attributes:
        file: says who decides and what is guarded.
        metadata: what is true of the stream, such as `site: north`.
        bandit: decides instead of the file's.
        predicate: the operator's own rule about answers.
        folder: where its criterion's arrays lie.
    """

    file: PolicyFile
    metadata: Mapping[str, str] = field(default_factory=dict)
    bandit: BanditSection | None = None
    predicate: Predicate | None = None
    folder: Path | None = None

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

    def over(self, traces: Traces, rng: np.random.Generator, objective: Objective) -> Policy:
        """The same for the frames of a trace, which it must be asked about in their order.

        Raises:
            ConfigError: see `make`.
            PolicyFileError: see `make`; or it is for another number of exits.
            TraceError: the file abstains, and the trace kept nothing to tell by what is unsure.
        """
        if len(self.file.exits) != traces.exits:
            raise PolicyFileError(
                f"the policy file calibrates {len(self.file.exits)} exits, the trace has {traces.exits}; "
                f"record a trace of the same network"
            )
        made = self.make(rng, objective)
        if not isinstance(made, Guard) or made.limits.sets is None:
            return made
        return _Abstaining(made, traces.shown, self.file.reader(self.folder))

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


def policy_over(
    name: str, asked: Mapping[str, Any] | FilePolicy, traces: Traces, rng: np.random.Generator, objective: Objective
) -> Policy:
    """A policy for the frames of a trace: by name with these parameters, or a file's.

    Raises:
        ConfigError: no such policy or parameter.
        PolicyFileError, TraceError: see `FilePolicy.over`.
    """
    if isinstance(asked, FilePolicy):
        return asked.over(traces, rng, objective)
    return make_policy(name, exits=traces.exits, rng=rng, objective=objective, params=asked)


class _Abstaining:
    """A guard over a trace: its readings get the probabilities back by which an answer is called unsure.

    Args:
        guard: decides.
        shown: what the exits said of the frames, in order.
        reader: makes probabilities of it.
    """

    def __init__(self, guard: Guard, shown: Shown, reader: Reader) -> None:
        self._guard, self._frames = guard, shown.read(reader)
        self._readings: list[Reading] = []

    def begin(self, context: Context) -> Plan:
        """Start the next frame."""
        self._readings = next(self._frames)
        return self._guard.begin(context)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """The guard's choice."""
        return self._guard.next(plan, self._whole(readings))

    def learn(self, observation: Observation) -> None:
        """Hand on what happened."""
        self._guard.learn(replace(observation, readings=self._whole(observation.readings)))

    def state(self) -> dict[str, Any]:
        """The guard's."""
        return self._guard.state()

    def restore(self, state: dict[str, Any]) -> None:
        """See the guard."""
        self._guard.restore(state)

    def _whole(self, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
        return tuple(replace(one, probabilities=self._readings[one.exit - 1].probabilities) for one in readings)
