"""HTTP as far as releases need it, by the standard library: bounded, resumable, and without surprises.

No other schemes than http and https, also behind a redirect, and never from https to http.  No proxies, cookies or
passwords: who may be trusted is said by signatures.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
)

from split_core.errors import ReleaseError, reason
from split_core.files import sha256_of_file
from split_core.release import Part

BLOCK = 1 << 16
SILENCE_S = 10.0  # of a server, before the transfer counts as cut off
PARTIAL = ".part"


class NotModified(Exception):
    """The document is as it was."""


class Unsatisfied(Exception):
    """There is nothing behind the byte that was asked for."""


ANSWERS: dict[int, type[Exception]] = {304: NotModified, 416: Unsatisfied}


class Redirects(HTTPRedirectHandler):
    """Follows those that stay within http and https, and within https."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        """See the base class, which refuses other schemes."""
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise ReleaseError(f"{req.full_url}: leads to {newurl[:80]}; expected https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class Web:
    """Transfers.

    Args:
        ending: says that there shall be no more; asked between two blocks.
    """

    def __init__(self, ending: Callable[[], bool] = bool) -> None:
        self._ending, self._opener = ending, OpenerDirector()
        for handler in (HTTPHandler(), HTTPSHandler(), HTTPErrorProcessor(), HTTPDefaultErrorHandler(), Redirects()):
            self._opener.add_handler(handler)

    def get(self, url: str, most_bytes: int, etag: str = "") -> tuple[bytes | None, str]:
        """A small document, and its ETag; None when that has not changed.

        Raises:
            ReleaseError: it does not come, or is longer.
        """
        try:
            with self._open(url, {"If-None-Match": etag} if etag else {}) as response:
                data = b"".join(self._blocks(response, url, most_bytes))
                return data, response.headers.get("ETag", "")
        except NotModified:
            return None, etag

    def save(self, url: str, path: Path, part: Part) -> None:
        """A file, of exactly that size and hash; beside it lies what has come so far.

        Raises:
            ReleaseError: it does not come, or is another one.
            OSError: the disk refuses.
        """
        partial = path.with_name(path.name + PARTIAL)
        begun = partial.stat().st_size if partial.exists() else 0
        if begun >= part.bytes:
            partial.unlink(missing_ok=True)
            begun = 0
        try:
            self._go_on(url, partial, begun, part.bytes)
        except Unsatisfied as error:
            partial.unlink(missing_ok=True)
            raise ReleaseError(f"{url}: cannot go on from byte {begun}; begun anew at the next look") from error
        size, digest = partial.stat().st_size, sha256_of_file(partial)
        if size < part.bytes:
            raise ReleaseError(f"{url}: cut off after {size} of {part.bytes} bytes; the next look goes on from there")
        if digest != part.sha256:
            partial.unlink()
            told = f"sha256 is {digest[:12]}, the release says {part.sha256[:12]}"
            raise ReleaseError(f"{url}: {told}; what serves it is at fault")
        os.replace(partial, path)

    def _go_on(self, url: str, partial: Path, begun: int, size: int) -> None:
        with self._open(url, {"Range": f"bytes={begun}-"} if begun else {}) as response:
            goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
            with partial.open("ab" if goes_on else "wb") as file:
                for block in self._blocks(response, url, size - begun if goes_on else size):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())

    def _blocks(self, response: HTTPResponse, url: str, most_bytes: int) -> Iterator[bytes]:
        left = most_bytes
        while True:
            if self._ending():
                raise ReleaseError(f"{url}: given up, the camera ends")
            try:
                block = response.read(min(BLOCK, left + 1))
            except (OSError, HTTPException) as error:
                raise ReleaseError(f"{url}: cut off ({_why(error)}); the next look goes on from there") from error
            if not block:
                return
            left -= len(block)
            if left < 0:
                raise ReleaseError(f"{url}: is longer than {most_bytes} bytes, expected at most that")
            yield block

    def _open(self, url: str, headers: dict[str, str]) -> HTTPResponse:
        try:
            response: HTTPResponse | None = self._opener.open(Request(url, headers=headers), timeout=SILENCE_S)
        except HTTPError as error:
            error.close()
            if error.code in ANSWERS:
                raise ANSWERS[error.code](url) from error
            told = f"{error.code} {error.reason}"
            raise ReleaseError(f"{url}: the server says {told}; expected a store of releases there") from error
        except (OSError, HTTPException, ValueError) as error:
            raise ReleaseError(f"{url}: cannot be reached ({_why(error)}); expected a web server there") from error
        if response is None:
            raise ReleaseError(f"{url}: expected an address that begins with http or https")
        return response


def _why(error: Exception) -> str:
    """Of a transfer that failed, in a few words."""
    inner = getattr(error, "reason", error)
    return reason(inner) if isinstance(inner, Exception) else str(inner)
