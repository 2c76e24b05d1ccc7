"""Outcomes as JSON to a web server, in batches, tried again until it takes or refuses them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_runtime.frames.outcomes import Outcome
from edge_runtime.secret import is_secret, text
from edge_runtime.sinks.base import NOTHING_LOST, as_dict
from edge_runtime.sinks.http_post import Answer, Poster
from split_core.errors import ConfigError
from split_core.params import flag, number, whole

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
LONGEST_RETRY_AFTER_S = 3600.0


class Webhook:
    """Posts a JSON list of outcomes; or, when `batch` is 1, each outcome by itself.

    Delivers at least once: a post whose answer was lost is posted again.

    Args:
        url: a text, or a secret place when the address itself must not be known.
        headers: each a text or a secret place.
        batch: outcomes at most in one post.
        linger_s: between two posts, to gather more.
        timeout_s: for connecting, and for every pause of the peer.
        attempts: at one post, until its outcomes are given up; an answer that trying again will not change ends it.
        ca: PEM file of who signs for the peer.
        plain: must be true to send secrets without TLS.
        tell: is told how the peer is, in one line, when that changes.
        rng: for the jitter.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        url: Any,
        headers: Any = None,
        batch: int = 100,
        linger_s: float = 1.0,
        timeout_s: float = 5.0,
        attempts: int = 10,
        ca: str = "",
        plain: bool = False,
        tell: Callable[[str], None],
        rng: np.random.Generator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.at_once, self.linger_s = whole("batch", batch, 1, 10_000), number("linger_s", linger_s, 0.01, 3600.0)
        self._attempts = whole("attempts", attempts, 1, 1_000_000)
        timeout_s = number("timeout_s", timeout_s, 0.01, 600.0)
        self._poster = Poster(text("url", url), headers=_headers(headers), timeout_s=timeout_s, ca=ca)
        secret = is_secret(url) or any(map(is_secret, (headers or {}).values()))
        if secret and not self._poster.tls and not flag("plain", plain):
            raise ConfigError("url: a secret would go in the clear; give https://, or plain: true")
        self._tell, self._rng, self._clock = tell, rng, clock
        self._state, self._not_before_s = "", clock()

    def open(self) -> None:
        """Nothing: it connects when there is something to post."""

    def close(self) -> None:
        """Hang up."""
        self._poster.close()

    def deliver(self, outcomes: Sequence[Outcome], closing: threading.Event) -> Mapping[str, int]:
        """Post until they are taken, refused, or given up."""
        body = self._body(outcomes)
        for attempt in range(self._attempts):
            if self._must_wait(closing):
                return {"closing": len(outcomes)}
            answer = self._poster.post(body)
            self._note(answer)
            if answer.well:
                return NOTHING_LOST
            if not answer.worth_another_try:
                return {"refused": len(outcomes)}
            if closing.is_set():
                return {"closing": len(outcomes)}
            if attempt + 1 < self._attempts and answer.retry_after_s is None:
                closing.wait(self._backoff_s(attempt))
        return {"unreachable": len(outcomes)}

    def _body(self, outcomes: Sequence[Outcome]) -> bytes:
        each = [as_dict(outcome) for outcome in outcomes]
        return json.dumps(each if self.at_once > 1 else each[0]).encode()

    def _must_wait(self, closing: threading.Event) -> bool:
        """Wait as long as the peer asked for; True when there is no time for that any more."""
        left_s = self._not_before_s - self._clock()
        return left_s > 0.0 and closing.wait(left_s)

    def _backoff_s(self, attempt: int) -> float:
        """Twice as long every time, and between half of that and all of it at random: a fleet must not come at once."""
        longest_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt, 20))
        return float(self._rng.uniform(0.5, 1.0)) * longest_s

    def _note(self, answer: Answer) -> None:
        if not answer.well and answer.retry_after_s is not None:
            self._not_before_s = self._clock() + min(LONGEST_RETRY_AFTER_S, answer.retry_after_s)
        state = "" if answer.well else answer.said
        if state != self._state:
            self._tell(f"{self._poster.peer}: {state or 'takes outcomes again'}")
        self._state = state


def _headers(given: Any) -> dict[str, str]:
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError("headers: expected a mapping of names to texts")
    headers = {"Content-Type": "application/json", "User-Agent": "offramp"}
    for name, value in (given or {}).items():
        said = text(f"headers.{name}", value)
        if not (f"{name}{said}".isprintable() and f"{name}{said}".isascii() and str(name).replace("-", "").isalnum()):
            raise ConfigError(f"headers.{name}: expected a header's name and a text of printable ASCII")
        headers[str(name)] = said
    return headers
