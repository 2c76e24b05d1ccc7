"""One HTTP connection that posts, is kept open between posts, and opened again when it was closed."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from edge_runtime.sinks.place import Place, tls_context
from split_core.errors import reason

ANSWER_BYTES = 65_536  # of an answer that are read; who says more is hung up on
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a post.

    Attributes:
        status: of HTTP; 0 when there was no answer.
        said: why it did not succeed, for people; without what was sent or where to.
        retry_after_s: when the peer wants to be asked again; None when it did not say.
    """

    status: int
    said: str = ""
    retry_after_s: float | None = None

    @property
    def well(self) -> bool:
        """Did it take them?"""
        return 200 <= self.status < 300

    @property
    def worth_another_try(self) -> bool:
        """May the same succeed later?"""
        return not self.status or self.status in TRANSIENT


class Poster:
    """Posts to one URL.  A redirection is not followed: it is an answer like any other.

    Args:
        url: `http://` or `https://`.
        headers: sent with every post.
        timeout_s: for connecting, and for every pause of the peer.
        ca: PEM file of who signs for the peer; empty trusts whom the system trusts.
        wall: seconds since 1970, for peers that say a date.

    Attributes:
        peer: host and port, for messages.
        tls: is the way encrypted?

    Raises:
        ConfigError: no such URL or file.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        ca: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        place = Place.of("url", url, {"http": 80, "https": 443})
        self.tls, self._host, self._port, self._path = place.scheme == "https", place.host, place.port, place.path
        self._headers, self._timeout_s, self._wall = dict(headers), timeout_s, wall
        self._context = tls_context(ca) if self.tls else None
        self.peer = place.peer
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes) -> Answer:
        """Post; an answer in any case."""
        kept = self._connection is not None
        try:
            return self._post(body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # A connection that was kept may have been closed by the peer for its age: that says nothing of the peer.
            if kept and isinstance(error, http.client.RemoteDisconnected | ConnectionError):
                return self.post(body)
            return Answer(0, _words(error))

    def close(self) -> None:
        """Hang up."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _post(self, body: bytes) -> Answer:
        self._connection = connection = self._connection or self._connect()
        connection.request("POST", self._path, body, self._headers)
        response = connection.getresponse()
        response.read(ANSWER_BYTES)
        if not response.isclosed() or response.will_close:
            self.close()
        said = f"it answered {response.status} {response.reason}".strip()
        return Answer(response.status, said, self._retry_after_s(response.headers.get("Retry-After", "")))

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._context)

    def _retry_after_s(self, text: str) -> float | None:
        """Seconds, or a date; see RFC 9110, 10.2.3."""
        if text.strip().isascii() and text.strip().isdigit():
            return float(text)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - self._wall())
        except (TypeError, ValueError, OverflowError):
            return None


def _words(error: Exception) -> str:
    """Why there was no answer, for people."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return reason(error) or type(error).__name__
