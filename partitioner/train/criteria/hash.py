"""Makes the table of `split_core.criteria.hash`: HashEE's buckets of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partitioner.train.criteria.base import Lesson, Taught
from split_core.errors import ConfigError, DataError
from split_core.params import whole
from split_core.registry import suggestion
from split_core.tensors import FloatArray

ORDERS = ("frequency", "mutual_information", "random")


class HashTrainer:
    """The tokens that occur, in an order, in equal parts: the first leave at exit 1, the last at exit K.

    Sun et al. 2022 (HashEE) and its code: by frequency the most frequent first; by mutual information
    sum_y p(t, y) ln(p(t, y) / (p(t) p(y))) with the label the most informative first; or at random.  Special tokens
    are those that are given, padding, and those that are in every text (ours: `[CLS]`, `[SEP]`).

    Args:
        by: "frequency", "mutual_information" or "random".
        special: ids that are passed over.

    Raises:
        ConfigError: no such order, or no ids.
    """

    def __init__(self, by: str = "frequency", special: Sequence[int] = ()) -> None:
        if by not in ORDERS:
            raise ConfigError(f"by: no order {by!r}{suggestion(str(by), list(ORDERS))}; there are: {', '.join(ORDERS)}")
        given: Any = special
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise ConfigError(f"special: expected a list of token ids, for example [101, 102], got {given!r}")
        self._by = by
        self._special = [whole(f"special[{place}]", one, 0, 1 << 24) for place, one in enumerate(given)]

    def fit(self, lesson: Lesson) -> Taught:
        """See `Trainer`.

        Raises:
            DataError: the samples are no texts, or hold no ordinary tokens.
        """
        tokens, labels = lesson.traces.tokens, lesson.traces.labels
        if not tokens.size:
            raise DataError("the samples are no texts: criterion 'hash' is for networks that take token ids")
        tokens, labels = tokens[lesson.learn], labels[lesson.learn]
        size = int(tokens.max()) + 1
        occurs = _counts(tokens, labels, size, lesson.classes)
        rare = [one for one in (*self._special, *lesson.special, *_everywhere(tokens, size)) if one < size]
        occurs[rare] = 0
        known = np.flatnonzero(occurs.sum(1))
        if not len(known):
            raise DataError("the texts hold no ordinary tokens; give other samples")
        rng = np.random.default_rng([lesson.schedule.seed, size])
        # What never occurred leaves last, as published; special ones are marked 0.
        table = np.full(size, lesson.exits)
        table[rare] = 0
        table[self._order(known, occurs, labels, rng)] = buckets(len(known), lesson.exits)
        return Taught({"exits": table})

    def _order(
        self, known: NDArray[np.int64], occurs: FloatArray, labels: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        if self._by == "random":
            return rng.permutation(known)
        shares = np.bincount(labels, minlength=occurs.shape[1]) / len(labels)
        value = occurs.sum(1) if self._by == "frequency" else mutual_information(occurs, shares)
        # Equal ones by their id, so that the same texts make the same table.
        return known[np.argsort(-value[known], kind="stable")]


def buckets(count: int, exits: int) -> NDArray[np.int64]:
    """(count,) exits 1..K, in equal parts as far as `count` allows; HashEE's buckets of count // K, the rest last."""
    size = max(1, count // exits)
    return np.minimum(np.arange(count) // size, exits - 1) + 1


def mutual_information(occurs: FloatArray, shares: FloatArray) -> FloatArray:
    """(V,) sum_y p(t, y) ln(p(t, y) / (p(t) p(y))) of (V, C) occurrences, with p(y) of the texts and 0 ln 0 = 0."""
    joint = occurs / occurs.sum()
    apart = joint.sum(1, keepdims=True) * shares
    there = joint > 0.0
    terms = np.where(there, joint * np.log(np.where(there, joint, 1.0) / np.where(there, apart, 1.0)), 0.0)
    found: FloatArray = terms.sum(1)
    return found


def _counts(tokens: NDArray[np.int32], labels: NDArray[np.int64], size: int, classes: int) -> FloatArray:
    """(V, C) how often each token occurs in texts of each label."""
    found = np.zeros((size, classes))
    for label in range(classes):
        chosen = tokens[labels == label]
        found[:, label] = np.bincount(chosen[chosen >= 0], minlength=size)
    return found


def _everywhere(tokens: NDArray[np.int32], size: int) -> list[int]:
    """Tokens that are in every text."""
    texts = np.zeros(size, np.int64)
    for row in tokens:
        texts[np.unique(row[row >= 0])] += 1
    return [int(one) for one in np.flatnonzero(texts == len(tokens))]
