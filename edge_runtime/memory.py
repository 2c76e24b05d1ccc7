"""What the policy learned, kept on disk: often, atomically, and never in a frame's way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bandits.policy import Policy
from split_core.errors import PolicyFileError
from split_core.files import write_atomically
from split_core.telemetry.background import BackgroundWriter


class PolicyMemory:
    """Saves and restores a policy's state, bound to its bundle and policy file.

    Args:
        path: the file.
        binding: ids that must be the same for the state to be of use.
        every_s: time between two savings.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path, binding: dict[str, str], *, every_s: float, clock: Callable[[], float]) -> None:
        self._path, self._binding, self._every_s, self._clock = path, binding, every_s, clock
        self._next_at_s = clock() + every_s
        self._writer: BackgroundWriter[dict[str, Any]] = BackgroundWriter(self._write, "policy-state", capacity=2)

    def restore(self, policy: Policy) -> str:
        """Go on from the file; returns one line that says what was found."""
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            if document["binding"] != self._binding:
                return f"{self._path}: learned with another bundle or policy; starting afresh"
            policy.restore(document["state"])
        except FileNotFoundError:
            return "nothing learned yet"
        except (OSError, ValueError, KeyError, TypeError, PolicyFileError) as error:
            return f"{self._path}: cannot be used ({error}); starting afresh"
        return f"going on from {self._path}"

    def bind(self, binding: dict[str, str]) -> None:
        """What is saved from now on belongs to these ids."""
        self._binding = binding

    def tick(self, policy: Policy) -> None:
        """Save if it is time to."""
        now = self._clock()
        if now >= self._next_at_s:
            self._next_at_s = now + self._every_s
            self._writer.put({"binding": self._binding, "state": policy.state()})

    def close(self, policy: Policy) -> None:
        """Save for the last time."""
        self._writer.put({"binding": self._binding, "state": policy.state()})
        self._writer.close()

    def _write(self, documents: list[dict[str, Any]]) -> None:
        write_atomically(self._path, json.dumps(documents[-1]).encode())
