"""Runs labelled samples through a bundle and keeps what every exit said and what every cut would ship."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partitioner.chain import Chain, Passage
from partitioner.data import Samples
from split_core.backends.base import Backend
from split_core.bundle import Bundle
from split_core.codecs import CODECS
from split_core.codecs.base import Codec
from split_core.criteria.build import make_criterion
from split_core.errors import ConfigError
from split_core.policy import CodecSection
from split_core.readings import ExitCalibration, Reader
from split_core.tensors import Array
from split_core.traces import Traces

BATCH = 64

Progress = Callable[[int], None]  # is told how many more samples are done


def chain_from_bundle(bundle: Bundle, backend: Backend, *, threads: int) -> Chain:
    """All pieces of a loaded bundle, as sessions.

    Raises:
        BackendError: the engine cannot load a piece.
    """
    return Chain(bundle, backend, threads=threads)


def record(
    bundle_id: str, chain: Chain, samples: Samples, *, codecs: CodecSection, reader: Reader, progress: Progress
) -> Traces:
    """What every exit says about every sample, with logits, and the bytes of every cut's payload.

    Args:
        bundle_id: of the bundle that `chain` was made from.
        chain: its pieces.
        samples: N of them.
        codecs: how the input (cut 0) and hidden states (cuts 1..K-1) are shipped.
        reader: logits to confidences: calibrated ones with a policy's reader, else `raw_reader`.
        progress: told after every batch.

    Raises:
        ConfigError: a codec does not exist, or is not of its kind.
        CodecError: a codec cannot carry a tensor of this network.
        BackendError: the engine refuses the samples.
    """
    hidden, image = codec_named(codecs.hidden, "hidden"), codec_named(codecs.input, "input")
    logits, payloads = [], []
    for rows, passage in passages(chain, samples):
        logits.append(np.stack(passage.logits, axis=1))
        payloads.append(_payload_bytes(samples, rows, passage, image, hidden))
        progress(len(logits[-1]))
    return traces_of(np.concatenate(logits), samples.labels, np.concatenate(payloads), bundle_id, reader)


def traces_of(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    payload_bytes: NDArray[np.int64],
    bundle_id: str,
    reader: Reader,
) -> Traces:
    """A trace from (N, K, C) logits, read by `reader`."""
    unread = np.zeros(logits.shape[:2])
    return Traces(unread, unread.astype(np.int64), labels, logits, payload_bytes, bundle_id).read_with(reader)


def raw_reader(exits: int, criterion: str = "max_prob", params: Mapping[str, Any] | None = None) -> Reader:
    """Reads logits as they are: no temperature, no map.

    Raises:
        ConfigError: no such criterion or parameter.
    """
    return Reader([ExitCalibration()] * exits, make_criterion(criterion, exits=exits, params=params))


def passages(chain: Chain, samples: Samples) -> Iterator[tuple[slice, Passage]]:
    """The samples' way through the chain, in batches."""
    for start in range(0, len(samples), BATCH):
        rows = slice(start, start + BATCH)
        yield rows, chain.run(samples.inputs(rows))


def codec_named(name: str, kind: str) -> Codec:
    """The codec, which must be for this kind of payload.

    Raises:
        ConfigError: no such codec, or for the other kind.
    """
    codec: Codec = CODECS.load(name)()
    if codec.kind != kind:
        raise ConfigError(f"codec {name!r} is for {codec.kind} payloads, expected one for {kind}")
    return codec


def items_at(samples: Samples, rows: slice, passage: Passage, cut: int) -> list[list[Array]]:
    """What each sample would ship at `cut`, tensor by tensor: its image at cut 0, else rows (1, ...)."""
    if cut == 0 and samples.preprocess is not None:
        return [[image] for image in samples.items[rows]]
    tensors = passage.cuts[cut]
    return [[tensor[row : row + 1] for tensor in tensors] for row in range(len(tensors[0]))]


def _payload_bytes(samples: Samples, rows: slice, passage: Passage, image: Codec, hidden: Codec) -> NDArray[np.int64]:
    """(N, K) bytes of the data that each sample would ship at each cut."""
    columns = [
        [sum(len(codec.encode(tensor).data) for tensor in tensors) for tensors in items_at(samples, rows, passage, cut)]
        for cut, codec in enumerate(codecs_by_cut(samples, len(passage.cuts), image, hidden))
    ]
    return np.array(columns, np.int64).T


def codecs_by_cut(samples: Samples, cuts: int, image: Codec, hidden: Codec) -> list[Codec]:
    """The codec of each cut 0..K-1; without images the input ships as a hidden state does."""
    return [image if samples.preprocess is not None else hidden, *[hidden] * (cuts - 1)]
