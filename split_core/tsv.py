"""Texts in a `.tsv`: a line each, `text<TAB>label` or the text alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from split_core.errors import DataError

HEADER = "label"  # what the second column of a first line says that is none of the lines


def read_tsv(path: Path) -> Iterator[tuple[str, str | None]]:
    """Text and label of each line; None where a line has no label.

    UTF-8, no quoting; lines of white space alone, and a first line whose second column is `label`, are none.

    Raises:
        DataError: not there, not text in UTF-8, or a line with more than two columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                if "\0" in line:  # valid UTF-8, and in no text: another kind of file
                    raise DataError(f"{path}: line {number} holds a NUL byte; expected text<TAB>label in UTF-8")
                text, *rest = line.rstrip("\r\n").split("\t")
                if len(rest) > 1:
                    raise DataError(f"{path}: line {number} has {1 + len(rest)} columns; expected text<TAB>label")
                if number == 1 and rest and rest[0].strip().lower() == HEADER:
                    continue
                yield text, rest[0].strip() if rest else None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a text a line") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); expected a text a line") from error
