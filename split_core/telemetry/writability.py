"""Whether a file can be written: said once when it cannot, and once when it can again."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from split_core.errors import reason

MAY_PASS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})


def may_pass(error: OSError) -> bool:
    """Is it the disk, full or read-only, that refuses?  A path that can never be written is another matter."""
    return error.errno in MAY_PASS


class Writability:
    """Of one file; used by the one thread that writes it.

    Args:
        tell: told in one line when it changes.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._why = tell, ""

    def in_folder(self, folder: Path) -> None:
        """Make its folder.

        Raises:
            OSError: there can be no such folder; a disk that is full is told, and may be tried again.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if not may_pass(error):
                raise
            self.refused(error)

    def refused(self, error: OSError) -> None:
        """A writing failed."""
        why = reason(error)
        if not self._why:
            self._tell(f"cannot be written ({why}); what comes until it can is counted and lost")
        self._why = why

    def well(self) -> None:
        """A writing succeeded."""
        if self._why:
            self._tell("is written again")
        self._why = ""
