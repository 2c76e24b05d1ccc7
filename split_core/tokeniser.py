"""Which tokeniser makes a text network's input: a reference, part of the manifest.  Nothing here runs one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from split_core.errors import DataError
from split_core.files import sha256_of


class Tokeniser(BaseModel):
    """How text becomes token ids, as far as two machines must agree on it.

    Attributes:
        tokeniser: a name (`distilbert-base-uncased`) or the path of a `tokenizer.json`.
        sha256: of that `tokenizer.json`, in hex; None when only the name is known.
        max_length: tokens of one text at most, and what a worker takes at most; None if there is no limit.
        truncation: where a longer text loses tokens; "none" refuses it.
        padding: where a shorter one in a batch is filled up.
        pad_id: the token that fills.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokeniser: str = Field(min_length=1)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    max_length: int | None = Field(default=None, gt=0)
    truncation: Literal["left", "right", "none"] = "right"
    padding: Literal["left", "right"] = "right"
    pad_id: int = Field(default=0, ge=0)

    def sealed(self, path: Path) -> Tokeniser:
        """The same with the hash of the file at `path`.

        Raises:
            DataError: it cannot be read, or has another hash than `sha256` says.
        """
        try:
            found = sha256_of(path.read_bytes())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        if self.sha256 not in (None, found):
            raise DataError(f"{path}: sha256 is {found[:12]}, expected {str(self.sha256)[:12]}; give that file")
        return self.model_copy(update={"sha256": found})
