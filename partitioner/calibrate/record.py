"""Runs labelled samples through a bundle and keeps what every exit said and what every cut would ship."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from partitioner.chain import Chain, Passage
from partitioner.data import Samples
from split_core.backends.base import Backend
from split_core.bundle import Bundle
from split_core.codecs import CODECS
from split_core.codecs.base import Codec
from split_core.criteria.base import Criterion
from split_core.criteria.build import make_criterion
from split_core.errors import ConfigError, DataError
from split_core.policy import CodecSection
from split_core.readings import ExitCalibration, Reader
from split_core.shown import NO_TOKEN, no_tokens
from split_core.tensors import Array
from split_core.traces import Traces

MOST_STATE_BYTES = 1 << 30  # of hidden states in a trace

Progress = Callable[[int], None]  # is told how many more samples are done


def chain_from_bundle(bundle: Bundle, backend: Backend, *, threads: int) -> Chain:
    """All pieces of a loaded bundle, as sessions.

    Raises:
        BackendError: the engine cannot load a piece.
    """
    return Chain(bundle, backend, threads=threads)


def record(
    bundle_id: str,
    chain: Chain,
    samples: Samples,
    *,
    codecs: CodecSection,
    reader: Reader,
    progress: Progress,
    states: bool = False,
) -> Traces:
    """What every exit says about every sample, with logits, and the bytes of every cut's payload.

    Args:
        bundle_id: of the bundle that `chain` was made from.
        chain: its pieces.
        samples: N of them.
        codecs: how the input (cut 0) and hidden states (cuts 1..K-1) are shipped.
        reader: logits to confidences: calibrated ones with a policy's reader, else `raw_reader`.
        progress: told after every batch.
        states: keep pooled hidden states though `reader` does not ask for them.

    Raises:
        DataError: hidden states are to be kept, and are more than fit.
        ConfigError: a codec does not exist, or is not of its kind.
        CodecError: a codec cannot carry a tensor of this network.
        BackendError: the engine refuses the samples.
    """
    hidden, image = codec_named(codecs.hidden, "hidden"), codec_named(codecs.input, "input")
    recorder, payloads = Recorder(chain, len(samples), states=states or reader.wants_hidden), []
    for rows, passage in passages(chain, samples):
        recorder.add(passage)
        payloads.append(_payload_bytes(samples, rows, passage, image, hidden))
        progress(len(passage.logits[0]))
    return recorder.traces(samples.labels, np.concatenate(payloads), bundle_id).read_with(reader)


class Recorder:
    """Keeps what a trace needs of passages, in their order: logits, tokens of texts, and hidden states when asked.

    Args:
        chain: makes the passages.
        samples: how many there will be.
        states: keep pooled hidden states.
    """

    def __init__(self, chain: Chain, samples: int, *, states: bool) -> None:
        self._chain, self._samples, self._states = chain, samples, states
        self._logits: list[Array] = []
        self._hidden: list[list[Array]] = []
        self._tokens: list[Array] = []

    def add(self, passage: Passage) -> None:
        """One batch more.

        Raises:
            DataError: hidden states of all samples will be more than fits.
        """
        self._logits.append(np.stack(passage.logits, axis=1).astype(np.float32))
        if (tokens := self._chain.tokens(passage)) is not None:
            self._tokens.append(tokens.astype(np.int32))
        if self._states:
            made = [states.astype(np.float32) for states in self._chain.hidden(passage)]
            size = 4 * self._samples * sum(states.shape[1] for states in made)
            if size > MOST_STATE_BYTES:
                raise DataError(
                    f"hidden states of {self._samples} samples take {size >> 20} MB, at most "
                    f"{MOST_STATE_BYTES >> 20} are kept; take fewer samples with --take"
                )
            self._hidden.append(made)

    def traces(self, labels: NDArray[np.int64], payload_bytes: NDArray[np.int64], bundle_id: str) -> Traces:
        """A trace that nobody has read yet: confidences are 0."""
        logits = np.concatenate(self._logits)
        unread = np.zeros(logits.shape[:2])
        hidden = tuple(np.concatenate(column) for column in zip(*self._hidden, strict=True))
        tokens = aligned(self._tokens) if self._tokens else no_tokens()
        return Traces(unread, unread.astype(np.int64), labels, logits, payload_bytes, bundle_id, hidden, tokens)


def aligned(batches: Sequence[Array]) -> NDArray[np.int32]:
    """Batches of tokens (n, T_i) as one array (N, T), filled up with `NO_TOKEN`."""
    longest = max(batch.shape[1] for batch in batches)
    rows = [np.pad(batch, ((0, 0), (0, longest - batch.shape[1])), constant_values=NO_TOKEN) for batch in batches]
    return np.concatenate(rows).astype(np.int32)


def raw_reader(exits: int, criterion: Criterion | None = None) -> Reader:
    """Reads logits as they are: no temperature, no map; by the largest probability unless told otherwise."""
    return Reader([ExitCalibration()] * exits, criterion or make_criterion("max_prob", exits=exits))


def passages(chain: Chain, samples: Samples) -> Iterator[tuple[slice, Passage]]:
    """The samples' way through the chain, in batches; texts go one by one, as on a device."""
    for start in range(0, len(samples), samples.together):
        rows = slice(start, start + samples.together)
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
    """What each sample would ship at `cut`, tensor by tensor: its image or ids at cut 0, else rows (1, ...)."""
    if cut == 0 and samples.preprocess is not None:
        return [[item] for item in samples.preprocess.unstack(samples.items[rows])]
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
    """The codec of each cut 0..K-1; without preprocessing the input ships as a hidden state does."""
    return [image if samples.preprocess is not None else hidden, *[hidden] * (cuts - 1)]
