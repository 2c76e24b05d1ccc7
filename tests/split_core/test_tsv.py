"""Lines of a `.tsv`."""

from __future__ import annotations

from pathlib import Path

import pytest

from split_core.errors import DataError
from split_core.tsv import read_tsv


def lines(folder: Path, content: bytes) -> list[tuple[str, str | None]]:
    (folder / "x.tsv").write_bytes(content)
    return list(read_tsv(folder / "x.tsv"))


def test_a_line_is_a_text_and_perhaps_a_label(tmp_path: Path) -> None:
    assert lines(tmp_path, b'a "fine" film\t1\n\nno label\r\n') == [('a "fine" film', "1"), ("no label", None)]


@pytest.mark.parametrize("header", [b"sentence\tlabel\n", b"text\tLabel\r\n", b"\xef\xbb\xbftext\tlabel\n"])
def test_a_header_is_no_line(tmp_path: Path, header: bytes) -> None:
    assert lines(tmp_path, header + b"fine\t1\n") == [("fine", "1")]


def test_only_the_first_line_can_be_a_header(tmp_path: Path) -> None:
    assert lines(tmp_path, b"fine\t1\ntext\tlabel\n") == [("fine", "1"), ("text", "label")]


def test_line_ends_inside_a_text_are_not_line_ends(tmp_path: Path) -> None:
    assert lines(tmp_path, "one\u2028two\x0bthree\t1\n".encode()) == [("one\u2028two\x0bthree", "1")]


@pytest.mark.parametrize(("content", "words"), [(b"a\tb\tc\n", "line 1 has 3 columns"), (b"caf\xe9\t1\n", "not UTF-8")])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        lines(tmp_path, content)
    with pytest.raises(DataError, match="cannot be read"):
        list(read_tsv(tmp_path / "absent.tsv"))
