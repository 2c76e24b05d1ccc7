"""The files that a camera runs on, loaded and checked against each other, and what is made of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bandits.guard import Limits
from bandits.of_file import FilePolicy
from bandits.policy import Policy
from edge_runtime.config import EdgeConfig, SourceSection
from edge_runtime.frames.budget import TimeBudget, Timing
from edge_runtime.frames.costs import CostBook, LinkModel
from edge_runtime.frames.deployment import Deployment
from edge_runtime.frames.guardrail import Guardrail, guardrail_at
from edge_runtime.frames.prefix import Pace, Prefix
from edge_runtime.frames.raw import Probe
from edge_runtime.frames.ticket import Rules
from edge_runtime.releases.pull import bring_first
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles, wire
from split_core.backends.build import make_backend
from split_core.bundle import Bundle
from split_core.codecs import CODECS
from split_core.codecs.base import Codec
from split_core.drift.monitor import NO_INPUTS, DriftMonitor
from split_core.objective import Objective
from split_core.policy import BanditSection, PolicyFile
from split_core.policy_store import PolicyStore
from split_core.profiles import HwProfile
from split_core.release import held_in
from split_core.release_store import ReleaseStore

FILMS = frozenset({"camera", "video"})  # sources whose neighbouring frames are alike
SCENES_S, USUAL_FPS = 30.0, 25.0  # some four scenes of a street or a door: benchmarks/drift.py


@dataclass(frozen=True)
class Artefacts:
    """Bundle, policy file and profile that belong together.

    Attributes:
        config: names them.
        arrays: folder of the policy's criterion.
        objective: the policy file's.
        bandit: the config's, else the policy file's.
        guardrail: the config's; None has none.
    """

    config: EdgeConfig
    bundle: Bundle
    policy_file: PolicyFile
    profile: HwProfile
    arrays: Path
    objective: Objective
    bandit: BanditSection
    guardrail: Guardrail | None = None

    @property
    def ids(self) -> dict[str, str]:
        """What the decision log and the saved state are bound to."""
        return {
            "bundle": self.bundle.id,
            "policy": self.policy_file.id,
            "profile": self.config.profile,
            "bandit": self.bandit.name,
        }

    @property
    def ship_input(self) -> bool:
        """May pixels leave the device?"""
        return self.policy_file.ship == "any"

    @property
    def audit_share(self) -> float:
        """Of the answers given here, how many are checked."""
        return self.policy_file.envelope.share if self.policy_file.envelope else self.config.audit.share

    def policy(self) -> Policy:
        """Who decides, with nothing learned yet, within the guard if there is anything to guard."""
        return self._of_file().make(np.random.default_rng(self.config.seed), self.objective)

    def limits(self) -> Limits:
        """What the policy file and the camera's configuration keep from being answered early."""
        return self._of_file().limits()

    def _of_file(self) -> FilePolicy:
        return FilePolicy(self.policy_file, self.config.metadata, self.config.bandit, self.guardrail)

    def rules(self) -> Rules:
        """What the policy file decides for a frame, with nothing learned and nothing seen yet.

        Raises:
            ConfigError: no such criterion, bandit or parameter.
            PolicyFileError: the criterion's arrays are not those that the policy names.
        """
        return Rules(
            reader=self.policy_file.reader(self.arrays),
            policy=self.policy(),
            objective=self.objective,
            ship_input=self.ship_input,
            monitor=self._monitor(),
            id=self.policy_file.id,
            audit=self.audit_share,
        )

    def _monitor(self) -> DriftMonitor:
        """Looks behind the first exit only where the thresholds are those that the histograms were made with."""
        file, config = self.policy_file, self.config
        evidence, own = file.evidence, not config.bandit and file.bandit.name == "cascade"
        behind = own and not file.segments and not self.limits()
        per_exit, by_class = file.bandit.params.get("per_exit"), file.bandit.params.get("by_class", {})
        alone = isinstance(per_exit, list | tuple) and "1" not in by_class and 1 not in by_class
        return DriftMonitor(
            evidence.confidence_histograms,
            config.drift_window,
            reached=evidence.reached_histograms if behind else (),
            threshold=per_exit[0] if behind and per_exit and alone else None,
            inputs=evidence.input_histograms if config.drift_inputs else NO_INPUTS,
            every=config.drift_every or _usual_every(config.source),
        )

    def of_camera(self, config: EdgeConfig) -> Artefacts:
        """The same with the configuration of one camera."""
        return replace(self, config=config)

    def under(self, policy_file: PolicyFile, arrays: Path, where: str) -> Artefacts:
        """The same with another policy file.

        Raises:
            PolicyFileError: it is for another bundle.
        """
        policy_file.check_bound_to(self.bundle.id, self.bundle.manifest.exits, where)
        return replace(
            self,
            policy_file=policy_file,
            arrays=arrays,
            objective=policy_file.objective.build(),
            bandit=self.config.bandit or policy_file.bandit,
        )

    def teaches_like(self, other: Artefacts) -> bool:
        """Does what a bandit learned under `other` hold here, too?  Versions, codecs and evidence do not matter."""
        mine, theirs = (_teaching(artefacts) for artefacts in (self, other))
        return mine == theirs

    def prefix(self) -> Prefix:
        """The segments and heads, loaded; as slow as the profile says."""
        return Prefix(
            self.bundle,
            make_backend(self.config.backend, self.config.backend_options),
            threads=self.config.threads,
            precision=self.config.precision,
            pace=Pace(self.profile) if self.profile.slowdown > 1.0 else None,
        )

    def deployment(self) -> Deployment:
        """The network, loaded, and what it costs as believed before anything was measured."""
        prefix, costs = self.prefix(), self.costs()
        return Deployment(prefix, costs, self.budget(costs), Probe(prefix))

    def budget(self, costs: CostBook) -> TimeBudget:
        """Time of a frame."""
        timing = Timing(self.config.deadline_ms / 1e3, self.config.margin_ms / 1e3)
        return TimeBudget(timing, costs, time.monotonic)

    def costs(self) -> CostBook:
        """What things cost, as believed before anything was measured."""
        return CostBook(self.profile, LinkModel(self.config.link.base_ms, self.config.link.ms_per_kb))

    def codecs(self) -> dict[str, tuple[str, Codec]]:
        """Name and codec for "hidden" and "input" payloads."""
        return {kind: (name, CODECS.load(name)()) for kind, name in self.policy_file.codecs.model_dump().items()}

    def hello(self) -> wire.Hello:
        """How this device introduces itself; the request id is filled in when it is sent."""
        return wire.Hello(0, self.config.camera, self.bundle.id, self.policy_file.id, tuple(CODECS))


def _teaching(artefacts: Artefacts) -> dict[str, object]:
    about_teaching = {
        "criterion",
        "criterion_params",
        "criterion_arrays",
        "exits",
        "objective",
        "ship",
        "guard",
        "envelope",
        "segments",
    }
    return {"bandit": artefacts.bandit.model_dump(), **artefacts.policy_file.model_dump(include=about_teaching)}


def load(config: EdgeConfig, tell: Callable[[str], None] = lambda _: None) -> Artefacts:
    """Read the three files and refuse what does not belong together.

    Args:
        config: names them.
        tell: is told in one line when the guardrail fails.

    Raises:
        BundleError: the bundle is damaged or not certified.
        PolicyFileError: the policy is damaged, of another bundle, or not signed as configured.
        ProfileError: the profile is damaged, or of another bundle or precision.
        ConfigError: the bundle does not have the configured precision, or there is no such guardrail.
        MissingExtra: keys are configured, and the library that checks signatures is not installed.
    """
    config = in_force(config)
    bundle = bundles.load(Path(config.bundle))
    policy_file, arrays = load_policy(Path(config.policy), config.policy_keys)
    policy_file.check_bound_to(bundle.id, bundle.manifest.exits, config.policy)
    profile = profiles.load(Path(config.profile))
    bundle.manifest.variant(config.precision)
    profile.check_bound_to(bundle.id, config.profile, config.precision)
    objective, bandit = policy_file.objective.build(), config.bandit or policy_file.bandit
    guardrail = guardrail_at(config.guardrail, tell) if config.guardrail else None
    return Artefacts(config, bundle, policy_file, profile, arrays, objective, bandit, guardrail)


def in_force(config: EdgeConfig) -> EdgeConfig:
    """The same with what is active in the store of releases, where there is one, as bundle, policy and profile.

    A new device brings its first release itself, where it is told from where.

    Raises:
        ReleaseError: nothing is active there, or it is damaged or not signed as configured.
    """
    if not config.releases:
        return config
    bring_first(config.releases)
    store = ReleaseStore(Path(config.releases.store), config.releases.keys)
    folder = store.path("active")
    store.load(folder.name)
    return config.with_release(held_in(folder))


def load_policy(path: Path, signers: Sequence[str]) -> tuple[PolicyFile, Path]:
    """A policy file, or the active one of a store; and the folder of its criterion's arrays.

    Raises:
        PolicyFileError: damaged, not signed as asked, or a store without an active policy.
    """
    if not path.is_dir():
        return policies.load(path, signers), path.parent
    store = PolicyStore(path, signers)
    policy_file = store.load(store.path("active").name)
    return policy_file, store.arrays_folder(policy_file)


def _usual_every(source: SourceSection | None) -> int:
    """Frames per frame that is compared: of a film, so many that two of them are of different scenes."""
    if source is None or source.kind not in FILMS:
        return 1
    return max(1, round(SCENES_S * (source.fps or USUAL_FPS)))
