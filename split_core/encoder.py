"""Runs a tokeniser: the only file that knows the library `tokenizers` (the extra `text`)."""

from __future__ import annotations

from tokenizers import Tokenizer

from split_core.errors import DataError
from split_core.tokeniser import Tokeniser

GOES_ON, BEGINS = "##", ("\u2581", "\u0120")


class Encoder:
    """A `tokenizer.json`, ready to encode.

    Truncation and padding that the file itself asks for are switched off: the manifest says both, so that two
    programs with the same bundle cannot disagree.

    Args:
        content: of the file.
        said: what the manifest says of it.
        limit: tokens of one text at most, special ones included; None for no limit.

    Raises:
        DataError: not a tokeniser, or one whose special tokens alone fill `limit`.
    """

    def __init__(self, content: bytes, said: Tokeniser, limit: int | None) -> None:
        self._said, self._limit = said, limit
        try:
            self._tokenizer = Tokenizer.from_buffer(content)
        except ValueError as error:
            raise DataError(f"{said.tokeniser}: not a tokenizer.json ({error})") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if limit is not None and said.truncation != "none":
            special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
            if special >= limit:
                raise DataError(f"{said.tokeniser}: max_length {limit} leaves no room beside {special} special tokens")
            self._tokenizer.enable_truncation(limit, direction=said.truncation)

    def broken(self) -> frozenset[int]:
        """Ids of tokens that are no whole word and do not begin one, and of the one for unknown words.

        By the vocabulary's own marks: "##" before what goes on, or "\u2581" or "\u0120" before what begins.
        """
        vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=False)
        special = {number for number, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        begins = tuple(mark for mark in BEGINS if any(word.startswith(mark) for word in vocabulary))
        found = {
            number
            for word, number in vocabulary.items()
            if word.startswith(GOES_ON) or (begins and not word.startswith(begins) and number not in special)
        }
        unknown = self._tokenizer.token_to_id(getattr(self._tokenizer.model, "unk_token", None) or "")
        return frozenset(found if unknown is None else {*found, unknown})

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, special ones included.

        Raises:
            DataError: no tokens, or more than the manifest allows where it says not to truncate.
        """
        found: list[int] = self._tokenizer.encode(text).ids
        if not found:
            raise DataError(f"{text[:40]!r}: the tokeniser makes no tokens of it; expected a text")
        if self._limit is not None and len(found) > self._limit:
            raise DataError(f"{text[:40]!r}: {len(found)} tokens, at most {self._limit} are expected")
        return found
