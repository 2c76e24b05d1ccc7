"""The operator's own rule about answers: a Python function named in the camera's configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_runtime.functions import function_at
from split_core.readings import Reading

Rule = Callable[..., Any]


class Guardrail:
    """Asks the rule; an error of its own, or an answer that is no truth value, counts as "go deeper".

    Args:
        rule: called with `label` (class number), `confidence`, `probabilities` (C,) and `exit` (from 1) by name;
            True lets the answer pass.  Its time is part of the frame's.
        tell: is told about its 1st, 2nd, 4th, 8th, ... error, in one line.

    Attributes:
        errors: so far.
    """

    def __init__(self, rule: Rule, tell: Callable[[str], None]) -> None:
        self._rule, self._tell, self.errors = rule, tell, 0

    def __call__(self, reading: Reading) -> bool:
        """May this be the answer?"""
        try:
            said = self._rule(
                label=reading.label,
                confidence=reading.confidence,
                probabilities=None if reading.probabilities is None else reading.probabilities.copy(),
                exit=reading.exit,
            )
        except Exception as error:  # the rule is a stranger's code, and a camera must go on
            return self._failed(f"{type(error).__name__}: {error}")
        if isinstance(said, bool | np.bool_):
            return bool(said)
        return self._failed(f"it said {said!r}; expected True or False")

    def _failed(self, what: str) -> bool:
        self.errors += 1
        if self.errors & (self.errors - 1) == 0:
            line = what.partition("\n")[0]
            self._tell(f"the guardrail failed {self.errors} times, answers go deeper; last: {line}")
        return False


def guardrail_at(location: str, tell: Callable[[str], None]) -> Guardrail:
    """The rule at `package.module:function`, looked for in the working directory too.

    Raises:
        ConfigError: there is no such function.
        MissingExtra: the module, or one that it imports, is not installed.
    """
    return Guardrail(function_at("guardrail", location), tell)
