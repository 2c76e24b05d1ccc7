"""Which codecs to ship with: bytes and time against what they do to the full network's answers, measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.record import Progress, items_at, passages
from partitioner.chain import Chain
from partitioner.data import Samples
from split_core.codecs import CODECS
from split_core.codecs.base import Codec, Encoded
from split_core.errors import CodecError, ConfigError
from split_core.evidence import CodecEvidence
from split_core.objective import Objective
from split_core.policy import CodecSection
from split_core.tensors import Array

MAX_DROP = 0.002  # of the full network's accuracy


@dataclass
class Tally:
    """One codec at one cut, so far: bytes of all samples, milliseconds of each, final labels by batch."""

    payload_bytes: int = 0
    encode_ms: list[float] = field(default_factory=list)
    labels: list[NDArray[np.int64]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Route:
    """What a payload meets on its way.

    Attributes:
        objective: prices milliseconds and kilobytes.
        slowdown: the device packs this many times slower than the machine that calibrates.
        rate_mbit: the uplink to expect.
    """

    objective: Objective
    slowdown: float = 1.0
    rate_mbit: float = 10.0

    def price(self, row: CodecEvidence) -> float:
        """Cost of packing and sending one sample, in units of the objective."""
        send_ms = row.mean_bytes * 8e-3 / self.rate_mbit
        return self.objective.cost(self.slowdown * row.encode_ms + send_ms, payload_bytes=row.mean_bytes)


@dataclass(frozen=True, slots=True)
class CodecTable:
    """What was measured on `samples` samples; `accuracy` is the full network's, uncompressed."""

    samples: int
    accuracy: float
    rows: tuple[CodecEvidence, ...]


def measure(chain: Chain, samples: Samples, *, clock: Callable[[], float], progress: Progress) -> CodecTable:
    """Every codec at every cut that it can carry: bytes, time, and the full network's answers behind it.

    A codec that refuses a tensor of this network (float64, say) is left out altogether.

    Args:
        chain: the bundle's pieces.
        samples: N of them.
        clock: seconds, as `time.perf_counter`.
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
            items, tally = items_at(samples, rows, passage, cut), tallies[name, cut]
            try:
                encoded = [_packed(codecs[name], tensors, tally, clock) for tensors in items]
            except CodecError:
                unfit.add(name)
                continue
            tally.labels.append(
                plain[-1] if codecs[name].lossless else _labels_behind(codecs[name], chain, samples, cut, encoded)
            )
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


def _packed(codec: Codec, tensors: list[Array], tally: Tally, clock: Callable[[], float]) -> list[Encoded]:
    """One sample's payload; counts its bytes and the time it took."""
    started_s = clock()
    encoded = [codec.encode(tensor) for tensor in tensors]
    tally.encode_ms.append((clock() - started_s) * 1e3)
    tally.payload_bytes += sum(len(one.data) for one in encoded)
    return encoded


def _labels_behind(
    codec: Codec, chain: Chain, samples: Samples, cut: int, encoded: list[list[Encoded]]
) -> NDArray[np.int64]:
    """What the full network answers when it goes on from these payloads."""
    columns = [[codec.decode(one) for one in column] for column in zip(*encoded, strict=True)]
    if cut == 0 and samples.preprocess is not None:
        tensors = samples.preprocess.tensors(samples.preprocess.stack(columns[0]))
    else:
        tensors = [np.concatenate(column) for column in columns]
    labels: NDArray[np.int64] = chain.finish(cut, tensors).argmax(axis=1)
    return labels


def _evidence(name: str, cut: int, tally: Tally, full: NDArray[np.int64], truth: NDArray[np.int64]) -> CodecEvidence:
    labels = np.concatenate(tally.labels)
    return CodecEvidence(
        cut=cut,
        codec=name,
        mean_bytes=round(tally.payload_bytes / len(truth), 1),
        encode_ms=round(float(np.median(tally.encode_ms)), 5),
        accuracy=round(float(np.mean(labels == truth)), 6),
        agreement=round(float(np.mean(labels == full)), 6),
    )


def choose(table: CodecTable, route: Route, *, max_drop: float) -> CodecSection:
    """The cheapest hidden and input codec among those whose accuracy drops by at most `max_drop`.

    One codec of each kind serves all its cuts, so a hidden codec must hold at every cut and is judged by
    the sum of its prices.  Where a network has no payload of a kind, the policy file's default stays.

    Raises:
        ConfigError: no codec of a kind holds.
    """
    default = CodecSection()
    return CodecSection(
        hidden=_best(table, route, "hidden", max_drop) or default.hidden,
        input=_best(table, route, "input", max_drop) or default.input,
    )


def _best(table: CodecTable, route: Route, kind: str, max_drop: float) -> str | None:
    rows = [row for row in table.rows if CODECS.load(row.codec).kind == kind]
    names = dict.fromkeys(row.codec for row in rows)
    # 1e-6: the table is rounded.
    worse = {row.codec for row in rows if row.accuracy < table.accuracy - max_drop - 1e-6}
    prices = {name: sum(route.price(row) for row in rows if row.codec == name) for name in names if name not in worse}
    if rows and not prices:
        raise ConfigError(f"no {kind} codec keeps the accuracy within {max_drop:g}; allow a greater drop")
    return min(prices, key=lambda name: prices[name]) if prices else None
