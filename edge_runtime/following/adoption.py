"""What happens on a running camera when a pointer of its policy store has moved."""

from __future__ import annotations

from dataclasses import replace

import structlog

from edge_runtime.camera import Camera
from edge_runtime.following.policy_watch import Change
from edge_runtime.link.offload import Offloader

log = structlog.get_logger("edge")


class Adoption:
    """Takes what a watch has found for one camera; to be called between two frames.

    Args:
        camera: gets what follows from a new policy.
        offloader: introduces the device by it.
    """

    def __init__(self, camera: Camera, offloader: Offloader) -> None:
        self._camera, self._offloader = camera, offloader

    def __call__(self, change: Change) -> None:
        """The next frame follows other rules; those in flight end by the old ones."""
        if change.state == "active":
            self._activate(change)
        else:
            self._shadow(change)

    def _activate(self, change: Change) -> None:
        assert change.artefacts is not None
        assert change.rules is not None
        assert change.hello is not None
        assert change.codecs is not None
        camera, artefacts, memory = self._camera, change.artefacts, self._camera.memory
        old, leaving, ids = camera.artefacts, camera.stream.rules, artefacts.ids
        recalled = memory.recall(ids, change.rules)
        keeps = artefacts.teaches_like(old)
        rules = replace(change.rules, shadow=leaving.shadow)
        memory.rebind(ids, leaving)
        camera.stream.rules = replace(rules, policy=leaving.policy) if keeps else rules
        self._offloader.introduce(change.hello, change.codecs)
        memory.save(camera.stream.rules)
        camera.adopted(artefacts)
        fresh = "what was learned under the old policy does not hold; starting afresh"
        learned = "kept" if keeps else recalled or fresh
        level = log.info if keeps or recalled else log.warning
        policy, before = ids["policy"][:12], old.policy_file.id[:12]
        level("policy changed", camera=camera.name, policy=policy, before=before, learned=learned)

    def _shadow(self, change: Change) -> None:
        camera, rules, artefacts = self._camera, change.rules, change.artefacts
        camera.stream.rules = replace(camera.stream.rules, shadow=rules)
        if rules is None or artefacts is None:
            log.info("no policy in the shadow", camera=camera.name)
            return
        if artefacts.teaches_like(camera.artefacts):
            rules.policy.restore(camera.stream.rules.policy.state())
            learned = "a copy of the active policy's"
        else:
            learned = camera.memory.recall(artefacts.ids, rules) or "nothing yet"
        log.info("policy in the shadow", camera=camera.name, policy=rules.id[:12], learned=learned)
