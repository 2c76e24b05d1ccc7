"""From one network to another, for all cameras of a device, between two frames.

A frame that is on its way ends on the network, and by the rules, that it began with: its ticket holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog

from edge_runtime.camera import Camera
from edge_runtime.frames.loop import EdgeLoop
from edge_runtime.link.offload import Offloader
from edge_runtime.releases.lineup import Lineup, Place

log = structlog.get_logger("edge")


class Changeover:
    """Puts a lineup in force; to be called by the frames' thread.

    Args:
        cameras: by name.
        loop: that runs them.
        offloader: introduces the device by it.

    Attributes:
        cameras, loop, offloader: as given.
    """

    def __init__(self, cameras: Mapping[str, Camera], loop: EdgeLoop, offloader: Offloader) -> None:
        self.cameras, self.loop, self.offloader = cameras, loop, offloader

    def __call__(self, lineup: Lineup) -> None:
        """The next frames run on it."""
        for name, camera in self.cameras.items():
            _take(camera, lineup.places[name])
        self.loop.together = lineup.together
        artefacts = next(iter(self.cameras.values())).artefacts
        self.offloader.introduce(artefacts.hello(), artefacts.codecs())


def _take(camera: Camera, place: Place) -> None:
    """One camera: what its policy learned is kept for its return, and what the other one had learned comes back."""
    old, leaving, memory = camera.artefacts, camera.stream.rules, camera.memory
    own = place.artefacts.config
    paths = {"bundle": own.bundle, "policy": own.policy, "profile": own.profile}
    # Settings that were read again since it was loaded hold for it, too.
    artefacts = place.artefacts.of_camera(old.config.model_copy(update=paths))
    keeps = artefacts.bundle.id == old.bundle.id and artefacts.teaches_like(old)
    recalled = "" if keeps else memory.recall(artefacts.ids, place.rules)
    policy = leaving.policy if keeps else place.rules.policy
    rules = replace(place.rules, audit=artefacts.audit_share, policy=policy)
    memory.rebind(artefacts.ids, leaving)
    camera.stream.rules = rules
    camera.stream.deployment = replace(place.deployment, budget=artefacts.budget(place.deployment.costs))
    memory.save(rules)
    camera.adopted(artefacts)
    learned = "kept" if keeps else recalled or "nothing yet; starting afresh"
    ids = {name: artefacts.ids[name][:12] for name in ("bundle", "policy")}
    log.info("network changed", camera=camera.name, **ids, before=old.bundle.id[:12], learned=learned)
