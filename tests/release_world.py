"""Bundles that differ, and a store that releases are made of."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from partitioner.build import Wish, partition
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.backends.base import Session
from split_core.bundle import Bundle
from split_core.errors import BackendError
from split_core.files import sha256_of
from split_core.policy import BanditSection, ExitSection, PolicyFile
from split_core.release import Held
from split_core.release_store import ReleaseStore
from split_core.tensors import Array
from tests.edge_runtime.world import profile
from tests.tiny import IDENTITY, tiny_samples

AT_EXIT_1 = BanditSection(name="fixed", params={"split": 1, "threshold": 0.0})
WHOLE = BanditSection(name="edge_only")


def another_bundle(model: Path, out: Path, version: str, **changes: Any) -> Path:
    """The tiny network again, with another id."""
    identity = IDENTITY.model_copy(update={"version": version, **changes})
    return partition(read_network(str(model)), out, identity=identity, wish=Wish(), trial=Trial(), clock=time.time)


def broken_bundle(whole: Path, out: Path) -> Path:
    """All hashes are right, and its first segment is no network."""
    bundle, garbage = bundles.load(whole), b"no network at all"
    first, *others = bundle.manifest.segments
    segments = (first.model_copy(update={"sha256": sha256_of(garbage), "bytes": len(garbage)}), *others)
    manifest = bundle.manifest.model_copy(update={"segments": segments})

    def prove(one: Bundle) -> dict[str, Any]:
        return {"bundle_id": one.id, "passed": True}

    return bundles.write(out, manifest, {**bundle.copy(), first.file: garbage}, prove)


class Failing:
    """A session whose engine gives up, or gives nonsense, from some run on."""

    def __init__(self, session: Session, after: int, nonsense: bool = False) -> None:
        self.inputs, self.outputs = session.inputs, session.outputs
        self._session, self._left, self._nonsense = session, after, nonsense

    def run(self, feeds: Any) -> list[Array]:
        self._left -= 1
        if self._left >= 0:
            return self._session.run(feeds)
        if self._nonsense:
            return [np.full_like(one, np.nan) for one in self._session.run(feeds)]
        raise BackendError("the device has lost its engine")


class Workshop:
    """Makes releases of bundles, and what a camera needs beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, 0
        self.store = ReleaseStore(folder / "releases")
        np.savez(folder / "images.npz", images=tiny_samples(50, seed=5)[0])

    def held(self, bundle: Path, bandit: BanditSection = WHOLE) -> Held:
        """A policy and a profile for a bundle."""
        self.made += 1
        bundle_id = bundles.load(bundle).id
        policy, measured = self.folder / f"policy-{self.made}.yaml", self.folder / f"profile-{self.made}.yaml"
        content = {"version": self.made, "bundle_id": bundle_id, "exits": (ExitSection(),) * 3, "bandit": bandit}
        policies.save(PolicyFile.model_validate(content), policy)
        profiles.save(profile(3, bundle_id).model_copy(update={"slowdown": 1.0}), measured)
        return Held(bundle, policy, measured)

    def add(self, bundle: Path, bandit: BanditSection = WHOLE, secret: Path | None = None) -> str:
        """A release of it, as the candidate."""
        return self.store.add(self.held(bundle, bandit), secret)

    def config(self, **changes: Any) -> dict[str, Any]:
        """A camera that follows the store, and shows the same images over and over."""
        options = {"path": str(self.folder / "images.npz"), "loop": True}
        releases = {"store": str(self.store.folder), "unsigned": True, "probation_s": 0.5}
        return {
            "releases": {**releases, **changes.pop("releases", {})},
            "decisions": str(self.folder / "decisions.jsonl"),
            "source": {"kind": "array", "fps": 100, "options": options},
            "margin_ms": 100.0,
            "deadline_ms": 1000.0,
            **changes,
        }
