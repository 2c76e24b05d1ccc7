"""The files that a camera runs on, loaded and checked against each other, and what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bandits.build import make_policy
from bandits.policy import Policy
from edge_runtime.config import EdgeConfig
from edge_runtime.costs import CostBook, LinkModel
from edge_runtime.prefix import Pace, Prefix
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles, wire
from split_core.backends.build import make_backend
from split_core.bundle import Bundle
from split_core.codecs import CODECS
from split_core.codecs.base import Codec
from split_core.objective import Objective
from split_core.policy import BanditSection, PolicyFile
from split_core.profiles import HwProfile


@dataclass(frozen=True)
class Artefacts:
    """Bundle, policy file and profile that belong together.

    Attributes:
        config: names them.
        objective: the policy file's.
        bandit: the config's, else the policy file's.
    """

    config: EdgeConfig
    bundle: Bundle
    policy_file: PolicyFile
    profile: HwProfile
    objective: Objective
    bandit: BanditSection

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

    def policy(self) -> Policy:
        """Who decides, with nothing learned yet."""
        return make_policy(
            self.bandit.name,
            exits=self.bundle.manifest.exits,
            rng=np.random.default_rng(self.config.seed),
            objective=self.objective,
            params=self.bandit.params,
        )

    def prefix(self) -> Prefix:
        """The segments and heads, loaded; as slow as the profile says."""
        return Prefix(
            self.bundle,
            make_backend(self.config.backend, self.config.backend_options),
            threads=self.config.threads,
            precision=self.config.precision,
            pace=Pace(self.profile) if self.profile.slowdown > 1.0 else None,
        )

    def costs(self) -> CostBook:
        """What things cost, as believed before anything was measured."""
        link = LinkModel(self.config.link.base_ms, self.config.link.ms_per_kb)
        return CostBook(self.profile, self.objective, ship_input=self.ship_input, link=link)

    def codecs(self) -> dict[str, tuple[str, Codec]]:
        """Name and codec for "hidden" and "input" payloads."""
        return {kind: (name, CODECS.load(name)()) for kind, name in self.policy_file.codecs.model_dump().items()}

    def hello(self) -> wire.Hello:
        """How this device introduces itself; the request id is filled in when it is sent."""
        return wire.Hello(0, self.config.camera, self.bundle.id, self.policy_file.id, tuple(CODECS))


def load(config: EdgeConfig) -> Artefacts:
    """Read the three files and refuse what does not belong together.

    Raises:
        BundleError: the bundle is damaged or not certified.
        PolicyFileError: the policy is damaged, or of another bundle.
        ProfileError: the profile is damaged, or of another bundle or precision.
        ConfigError: the bundle does not have the configured precision.
    """
    bundle = bundles.load(Path(config.bundle))
    policy_file = policies.load(Path(config.policy))
    policy_file.check_bound_to(bundle.id, bundle.manifest.exits, config.policy)
    profile = profiles.load(Path(config.profile))
    bundle.manifest.variant(config.precision)
    profile.check_bound_to(bundle.id, config.profile, config.precision)
    return Artefacts(
        config, bundle, policy_file, profile, policy_file.objective.build(), config.bandit or policy_file.bandit
    )
