"""Text to ids and mask: one way for devices, workers and calibration."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from split_core.errors import DataError
from split_core.tensors import TensorSpec
from split_core.text import Text, roles_of
from split_core.tokeniser import Tokeniser

IDS, MASK, TYPES = (
    TensorSpec(name, "int64", (None, "tokens")) for name in ("input_ids", "attention_mask", "token_type_ids")
)
FLOAT_MASK = TensorSpec("mask", "float32", (None, "tokens"))


def text(*specs: TensorSpec, content: bytes | None = None, **said: object) -> Text:
    roles = roles_of(specs)
    assert roles is not None
    return Text(Tokeniser.model_validate({"tokeniser": "t.json", **said}), specs, roles, content)


@pytest.fixture(scope="module")
def words() -> bytes:
    pytest.importorskip("tokenizers")
    from tests.text_world import tokenizer_json

    return tokenizer_json()


def test_inputs_are_told_apart_by_their_names() -> None:
    assert roles_of([MASK, IDS, TYPES]) == ("mask", "ids", "types")
    assert roles_of([MASK]) is None
    assert roles_of([TensorSpec("x", "float32", (None, 4))]) is None
    assert roles_of([TensorSpec("ids", "int64", (None, 3, 4))]) is None


def test_a_text_becomes_ids_with_its_special_tokens(words: bytes) -> None:
    made = text(IDS, MASK, content=words)
    np.testing.assert_array_equal(made.canonical("a fine film"), [[2, 10, 4, 11, 3]])
    np.testing.assert_array_equal(made.canonical("gibberish"), [[2, 1, 3]])


def test_the_files_own_truncation_and_padding_say_nothing(words: bytes) -> None:
    assert text(IDS, MASK, content=words).canonical("a " * 20).shape == (1, 22)


def test_a_longer_text_is_cut_where_the_manifest_says(words: bytes) -> None:
    sentence = "fine lovely warm dull weak grim"
    right = text(IDS, MASK, content=words, max_length=5)
    np.testing.assert_array_equal(right.canonical(sentence), [[2, 4, 5, 6, 3]])
    left = text(IDS, MASK, content=words, max_length=5, truncation="left")
    np.testing.assert_array_equal(left.canonical(sentence), [[2, 7, 8, 9, 3]])
    with pytest.raises(DataError, match="8 tokens, at most 5"):
        text(IDS, MASK, content=words, max_length=5, truncation="none").canonical(sentence)


def test_a_limit_without_room_for_a_word_is_refused(words: bytes) -> None:
    with pytest.raises(DataError, match="max_length 2 leaves no room beside 2 special tokens"):
        text(IDS, MASK, content=words, max_length=2)


def test_a_stack_is_padded_to_its_longest_and_masked() -> None:
    made = text(IDS, FLOAT_MASK, TYPES, pad_id=9)
    stack = made.stack([np.array([[5, 6, 7]]), np.array([[8]])])
    ids, mask, types = made.tensors(stack)
    np.testing.assert_array_equal(ids, [[5, 6, 7], [8, 9, 9]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])
    assert (mask.dtype, types.sum()) == (np.float32, 0)
    assert [item.tolist() for item in made.unstack(stack)] == [[[5, 6, 7]], [[8]]]


def test_padding_may_be_on_the_left() -> None:
    made = text(IDS, MASK, pad_id=9, padding="left")
    ids, mask = made.tensors(made.stack([np.array([[5, 6, 7]]), np.array([[8]])]))
    np.testing.assert_array_equal(ids, [[5, 6, 7], [9, 9, 8]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [0, 0, 1]])


def test_columns_that_no_text_of_a_batch_has_are_left_out() -> None:
    made = text(IDS, MASK)
    stack = made.stack([np.array([[5, 6, 7]]), np.array([[8]])])
    assert made.tensors(stack[1:])[0].shape == (1, 1)


def test_a_network_of_one_length_gets_that_length(words: bytes) -> None:
    fixed = [TensorSpec(spec.name, "int32", (None, 6)) for spec in (IDS, MASK)]
    made = text(*fixed, content=words, max_length=50)
    ids, mask = made.tensors(made.canonical("a fine film"))
    np.testing.assert_array_equal(ids, [[2, 10, 4, 11, 3, 0]])
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 1, 0]])
    assert made.canonical("a " * 20).shape == (1, 6)
    assert made.specs[0].mismatch(made.canonical("a fine film")) is None


def test_what_is_no_text_is_refused_in_one_line(words: bytes) -> None:
    made = text(IDS, MASK, content=words)
    with pytest.raises(DataError, match="expected a text, got an array uint8"):
        made.canonical(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="and does not hold it"):
        text(IDS, MASK).canonical("a film")
    with pytest.raises(DataError, match=r"t.json: not a tokenizer.json"):
        text(IDS, MASK, content=b"{}")


def test_without_the_library_one_line_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['tokenizers'] = None\n"
        "from split_core.errors import MissingExtra\n"
        "from split_core.tensors import TensorSpec\n"
        "from split_core.text import Text\n"
        "from split_core.tokeniser import Tokeniser\n"
        "specs = [TensorSpec('ids', 'int64', (None, 'n'))]\n"
        "assert Text(Tokeniser(tokeniser='t.json'), specs, ['ids']).blank().shape == (1, 16)\n"
        "try:\n    Text(Tokeniser(tokeniser='t.json'), specs, ['ids'], b'{}')\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "text (t.json) needs the module 'tokenizers'; run: pip install 'offramp[text]'"


def test_a_text_is_measured_by_its_length_and_by_what_is_no_whole_word(words: bytes) -> None:
    made = text(IDS, MASK, content=words)
    measured = made.measures(made.canonical("a fine gibberish film"))
    assert measured == {"tokens": 6.0, "pieces": pytest.approx(1 / 6)}
    assert text(IDS, MASK).measures(np.array([[5, 6]])) == {"tokens": 2.0}


@pytest.mark.parametrize(
    ("vocabulary", "whole", "broken"),
    [
        (["[UNK]", "play", "##ing", "un", "##able"], {1, 3}, {0, 2, 4}),
        (["[UNK]", "\u0120play", "ing", "\u0120un", "able"], {1, 3}, {0, 2, 4}),
    ],
    ids=["word pieces", "byte pairs"],
)
def test_pieces_of_words_are_told_by_the_vocabularys_marks(
    vocabulary: list[str], whole: set[int], broken: set[int]
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    from split_core.encoder import Encoder

    model = tokenizers.models.WordLevel({word: place for place, word in enumerate(vocabulary)}, unk_token="[UNK]")
    content = tokenizers.Tokenizer(model).to_str().encode()
    found = Encoder(content, Tokeniser(tokeniser="t.json"), None).broken()
    assert (set(found), whole & set(found)) == (broken, set())
