"""What policies learned and whether drift voided them, kept on disk: often, atomically, and never in a frame's way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_runtime.frames.ticket import Rules
from split_core.errors import PolicyFileError
from split_core.files import drop_unfinished, write_atomically
from split_core.policy_state import KEEP, PolicyState, document, read_states
from split_core.telemetry.background import BackgroundWriter
from split_core.telemetry.writability import Writability


class PolicyMemory:
    """Saves and restores what a policy learned, bound to its bundle and policy file; several policies' one by one.

    Args:
        path: the file; None keeps all in memory, for a policy that comes back during the same run.
        binding: ids that must be the same for the state to be of use.
        every_s: time between two savings.
        clock: monotonic seconds.
        tell: told in one line when the file cannot be written, and when it can again.
    """

    def __init__(
        self,
        path: Path | None,
        binding: dict[str, str],
        *,
        every_s: float,
        clock: Callable[[], float],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._file_is = Writability(tell)
        self._path, self._binding, self._every_s, self._clock = path, binding, every_s, clock
        self._next_at_s = clock() + every_s
        self._before: list[PolicyState] = []  # of other policies, newest first
        self._writer: BackgroundWriter[list[PolicyState]] | None = None
        if path:
            self._writer = BackgroundWriter(self._write, "policy-state", capacity=2)

    @property
    def unsaved(self) -> int:
        """Savings that the disk did not take; each holds all that was learned, so the next one makes up for it."""
        return self._writer.lost if self._writer else 0

    def restore(self, rules: Rules) -> str:
        """Go on from the file; returns one line that says what was found."""
        if self._path:
            drop_unfinished(self._path)
        try:
            states = read_states(self._path) if self._path else []
        except PolicyFileError as error:
            return f"cannot be used ({error}); starting afresh"
        self._before = [one for one in states if one.binding != self._binding]
        if not states:
            return "nothing learned yet"
        mine = next((one for one in states if one.binding == self._binding), None)
        if mine is None:
            return f"{self._path}: learned with another bundle or policy; starting afresh"
        return resumed(mine, rules, f"going on from {self._path}")

    def recall(self, binding: dict[str, str], rules: Rules) -> str:
        """Go on with what was learned when these ids were in force; returns one line, empty when they never were."""
        mine = next((one for one in self._before if one.binding == binding), None)
        return resumed(mine, rules, "going on with what it had learned when it was in force") if mine else ""

    def rebind(self, binding: dict[str, str], leaving: Rules) -> None:
        """Another policy is in force from now on; what the one that leaves has learned is kept for its return."""
        self._before = [self._of(leaving), *(one for one in self._before if one.binding != self._binding)]
        del self._before[KEEP:]
        self._binding = binding

    def tick(self, rules: Rules) -> None:
        """Save if it is time to."""
        if self._clock() >= self._next_at_s:
            self.save(rules)

    def save(self, rules: Rules) -> None:
        """Save now, in the background."""
        self._next_at_s = self._clock() + self._every_s
        if self._writer:
            before = (one for one in self._before if one.binding != self._binding)
            self._writer.put([self._of(rules), *before])

    def close(self, rules: Rules) -> None:
        """Save for the last time."""
        self.save(rules)
        if self._writer:
            self._writer.close()

    def _of(self, rules: Rules) -> PolicyState:
        return PolicyState(self._binding, rules.policy.state(), rules.monitor.cause, rules.monitor.saved())

    def _write(self, documents: list[list[PolicyState]]) -> None:
        assert self._path is not None
        try:
            write_atomically(self._path, document(documents[-1]))
        except OSError as error:
            self._file_is.refused(error)
            raise
        self._file_is.well()


def resumed(saved: PolicyState, rules: Rules, line: str) -> str:
    """Let rules go on from what was saved; returns `line` with what else is to be said, or why that cannot be."""
    if saved.void:
        rules.monitor.voided(saved.void)
        line += "; drift had voided its promises, and they stay void"
    try:
        rules.monitor.restore(saved.drift)
        rules.policy.restore(saved.state)
    except PolicyFileError as error:
        return f"what was saved cannot be used ({error}); starting afresh"
    return line
