"""What happens on a running camera when a pointer of its policy store has moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from edge_runtime.artefacts import Artefacts
from edge_runtime.loop import EdgeLoop
from edge_runtime.memory import PolicyMemory
from edge_runtime.offload import Offloader
from edge_runtime.policy_watch import Change

log = structlog.get_logger("edge")


class Adoption:
    """Takes what a watch has found; to be called between two frames.

    Args:
        artefacts: in force.
        loop, offloader: get what follows from a new policy.
        memory: keeps what the old one has learned.
        begin: told the ids that are in force from now on.

    Attributes:
        artefacts: in force now.
    """

    def __init__(
        self,
        artefacts: Artefacts,
        loop: EdgeLoop,
        offloader: Offloader,
        memory: PolicyMemory,
        begin: Callable[[dict[str, str]], None],
    ) -> None:
        self.artefacts, self._loop, self._offloader = artefacts, loop, offloader
        self._memory, self._begin = memory, begin

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
        old, self.artefacts = self.artefacts, change.artefacts
        leaving, ids = self._loop.rules, change.artefacts.ids
        recalled = self._memory.recall(ids, change.rules)
        keeps = change.artefacts.teaches_like(old)
        rules = replace(change.rules, shadow=leaving.shadow)
        self._memory.rebind(ids, leaving)
        self._loop.adopt(replace(rules, policy=leaving.policy) if keeps else rules)
        self._offloader.introduce(change.hello, change.codecs)
        self._memory.save(self._loop.rules)
        self._begin(ids)
        fresh = "what was learned under the old policy does not hold; starting afresh"
        learned = "kept" if keeps else recalled or fresh
        level = log.info if keeps or recalled else log.warning
        level("policy changed", policy=ids["policy"][:12], before=old.policy_file.id[:12], learned=learned)

    def _shadow(self, change: Change) -> None:
        rules, artefacts = change.rules, change.artefacts
        self._loop.rules = replace(self._loop.rules, shadow=rules)
        if rules is None or artefacts is None:
            log.info("no policy in the shadow")
            return
        if artefacts.teaches_like(self.artefacts):
            rules.policy.restore(self._loop.rules.policy.state())
            learned = "a copy of the active policy's"
        else:
            learned = self._memory.recall(artefacts.ids, rules) or "nothing yet"
        log.info("policy in the shadow", policy=rules.id[:12], learned=learned)
