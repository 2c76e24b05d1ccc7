"""Which codecs to ship with: bytes against what they do to the full network's answers, measured."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.record import Progress, items_at, passages
from partitioner.chain import Chain
from partitioner.data import Samples
from split_core.codecs import CODECS
from split_core.codecs.base import Codec
from split_core.errors import CodecError, ConfigError
from split_core.policy import CodecEvidence, CodecSection
from split_core.tensors import Array

MAX_DROP = 0.002   # of the full network's accuracy


@dataclass
class Tally:
    """One codec at one cut, so far."""

    payload_bytes: int = 0
    labels: list[NDArray[np.int64]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CodecTable:
    """What was measured on `samples` samples; `accuracy` is the full network's, uncompressed."""

    samples: int
    accuracy: float
    rows: tuple[CodecEvidence, ...]


def measure(chain: Chain, samples: Samples, progress: Progress) -> CodecTable:
    """Every codec at every cut that it can carry: bytes, and the full network's answers behind it.

    A codec that refuses a tensor of this network (an integer mask, say) is left out altogether.

    Args:
        chain: the bundle's pieces.
        samples: N of them.
        progress: told after every batch.
    """
    codecs: dict[str, Codec] = {name: CODECS.load(name)() for name in CODECS}
    places = _places(codecs, samples, chain.exits)
    tallies = {place: Tally() for place in places}
    plain: list[NDArray[np.int64]] = []
    unfit: set[str] = set()
    for rows, passage in passages(chain, samples):
        plain.append(passage.logits[-1].argmax(axis=1))
        for name, cut in (place for place in places if place[0] not in unfit):
            try:
                sent, labels = _through(codecs[name], chain, samples, cut, items_at(samples, rows, passage, cut))
            except CodecError:
                unfit.add(name)
                continue
            tallies[name, cut].payload_bytes += sent
            tallies[name, cut].labels.append(plain[-1] if labels is None else labels)
        progress(len(plain[-1]))
    full = np.concatenate(plain)
    kept = [place for place in places if place[0] not in unfit]
    found = tuple(_evidence(*place, tallies[place], full, samples.labels) for place in kept)
    return CodecTable(len(samples), float(np.mean(full == samples.labels)), found)


def _places(codecs: dict[str, Codec], samples: Samples, exits: int) -> list[tuple[str, int]]:
    """(codec, cut) pairs: input codecs at cut 0 if it is an image, hidden codecs everywhere else."""
    hidden = range(1 if samples.preprocess is not None else 0, exits)
    images = range(0 if samples.preprocess is None else 1)
    return [(name, cut) for name, codec in codecs.items() for cut in (hidden if codec.kind == "hidden" else images)]


def _through(
    codec: Codec, chain: Chain, samples: Samples, cut: int, items: list[list[Array]]
) -> tuple[int, NDArray[np.int64] | None]:
    """Bytes sent for a batch, and the final labels behind the codec; None when it loses nothing."""
    encoded = [[codec.encode(tensor) for tensor in tensors] for tensors in items]
    sent = sum(len(one.data) for row in encoded for one in row)
    if codec.lossless:
        return sent, None
    columns = [[codec.decode(one) for one in column] for column in zip(*encoded, strict=True)]
    if cut == 0 and samples.preprocess is not None:
        tensors = [samples.preprocess.tensor(np.stack(columns[0]))]
    else:
        tensors = [np.concatenate(column) for column in columns]
    return sent, chain.finish(cut, tensors).argmax(axis=1)


def _evidence(
    name: str, cut: int, tally: Tally, full: NDArray[np.int64], truth: NDArray[np.int64]
) -> CodecEvidence:
    labels = np.concatenate(tally.labels)
    return CodecEvidence(
        cut=cut, codec=name, mean_bytes=round(tally.payload_bytes / len(truth), 1),
        accuracy=round(float(np.mean(labels == truth)), 6), agreement=round(float(np.mean(labels == full)), 6),
    )


def choose(table: CodecTable, *, max_drop: float) -> CodecSection:
    """The hidden and the input codec with the fewest bytes whose accuracy drops by at most `max_drop`.

    One codec of each kind serves all its cuts, so a hidden codec must hold at every cut and is judged by
    the sum of its mean bytes.  Where a network has no payload of a kind, the policy file's default stays.

    Raises:
        ConfigError: no codec of a kind holds.
    """
    default = CodecSection()
    return CodecSection(
        hidden=_best(table, "hidden", max_drop) or default.hidden,
        input=_best(table, "input", max_drop) or default.input,
    )


def _best(table: CodecTable, kind: str, max_drop: float) -> str | None:
    rows = [row for row in table.rows if CODECS.load(row.codec).kind == kind]
    names = dict.fromkeys(row.codec for row in rows)
    # 1e-6: the table is rounded.
    worse = {row.codec for row in rows if row.accuracy < table.accuracy - max_drop - 1e-6}
    sizes = {name: sum(row.mean_bytes for row in rows if row.codec == name) for name in names if name not in worse}
    if rows and not sizes:
        raise ConfigError(f"no {kind} codec keeps the accuracy within {max_drop:g}; allow a greater drop")
    return min(sizes, key=lambda name: sizes[name]) if sizes else None
