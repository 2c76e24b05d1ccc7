"""The device's part of the network: a chain of segment sessions, run as deep as asked.

One set of weights serves every split: the split moves per frame and nothing is reloaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from edge_runtime.link.network import Network
from split_core.backends.base import Backend
from split_core.bundle import Bundle
from split_core.criteria.base import pooled
from split_core.errors import BundleError
from split_core.intake import Intake
from split_core.profiles import HwProfile
from split_core.tensors import Array, FloatArray
from split_core.text import Text
from split_core.tokeniser import Tokeniser


class Pace:
    """Makes each step last as long as on the slower device that a profile stands for.

    Args:
        profile: with its `slowdown`; 1 never waits.
        clock, sleep: seconds.
    """

    def __init__(
        self,
        profile: HwProfile,
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        slow = profile.slowdown if profile.slowdown > 1.0 else 0.0
        self._segment_s = [slow * timing.p50_ms / 1e3 for timing in profile.segments]
        self._segment_s[0] += slow * profile.tensor.p50_ms / 1e3
        self._head_s = [slow * timing.p50_ms / 1e3 for timing in profile.heads]
        self._encode_s = [slow * payload.encode.p50_ms / 1e3 for payload in profile.payloads]
        self._clock, self._sleep = clock, sleep

    def segment(self, k: int, started_s: float, frames: int = 1) -> None:
        """Wait until segment k (from 1) has lasted long enough; together frames gain nothing."""
        self._hold(started_s + self._segment_s[k - 1] * frames)

    def head(self, k: int, started_s: float) -> None:
        """The same for exit k."""
        self._hold(started_s + self._head_s[k - 1])

    def encode(self, cut: int, started_s: float) -> None:
        """The same for packing the payload of a cut."""
        self._hold(started_s + self._encode_s[cut])

    def _hold(self, until_s: float) -> None:
        left_s = until_s - self._clock()
        if left_s > 0.0:
            self._sleep(left_s)


class Prefix:
    """The segments and heads of a bundle, loaded.

    Args:
        bundle: verified.
        backend: loads the pieces.
        threads: per session.
        precision: of the bundle's; empty for the pieces as exported.
        pace: None runs at full speed.
        clock: seconds, for measuring steps.

    Raises:
        BundleError: nothing is known of the network's preprocessing, or it names no classes.
        MissingExtra: it takes text, and the library that runs its tokeniser is not installed.
        ConfigError: the bundle does not have this precision.
        BackendError: the backend cannot load a piece.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        *,
        threads: int = 1,
        precision: str = "",
        pace: Pace | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        manifest, pieces = bundle.manifest, bundle.manifest.variant(precision)
        self.exits = manifest.exits
        self.intake, self.labels = _intake_and_labels(bundle)
        self.network = Network(bundle.id, manifest.exits, len(self.labels))
        self.pace, self.clock = pace, clock
        self.segments = [bundle.session(piece, backend, threads=threads) for piece in pieces.segments]
        self.heads = [bundle.session(piece, backend, threads=threads) for piece in pieces.heads]
        names = [[tensor.name for tensor in cut.tensors] for cut in manifest.cuts]
        # Which of a cut's tensors each head takes.
        self.head_feeds = [[names[k].index(name) for name in head.inputs] for k, head in enumerate(self.heads, 1)]

    def start(self, item: Array | str) -> Run:
        """Begin with a frame; nothing is computed yet but its canonical form: an image, or token ids.

        Raises:
            DataError: it is not what this network takes.
        """
        return Run(self, self.intake.canonical(item))

    def blank(self) -> Run:
        """Begin with a frame that shows nothing."""
        return Run(self, self.intake.blank())


def _intake_and_labels(bundle: Bundle) -> tuple[Intake, tuple[str, ...]]:
    """What a device cannot do without."""
    manifest = bundle.manifest
    if manifest.labels is None:
        raise BundleError(f"{bundle.root}: gives no class logits; a device runs networks that name classes")
    if isinstance(manifest.preprocess, Tokeniser) and manifest.tokeniser is None:
        raise BundleError(
            f"{bundle.root}: names its tokeniser {manifest.preprocess.tokeniser!r} and does not hold it; "
            "partition it again with the path of its tokenizer.json"
        )
    intake = bundle.intake()
    if intake is None:
        raise BundleError(f"{bundle.root}: says nothing about preprocessing; partition it again with --config")
    return intake, manifest.labels


class Run:
    """One frame on its way through the segments.

    Attributes:
        prefix: that it runs through.
        depth: segments done.
        item: the canonical image or text, cut 0.
        device_ms: time spent in segments and heads so far.
        segment_ms, head_ms: the same per step, (K+1,), index 0 unused.
        alone: was every segment run for this frame only?  Else its times are shares.
    """

    def __init__(self, prefix: Prefix, item: Array) -> None:
        self.prefix = prefix
        self.item = item
        self.depth = 0
        self.device_ms = 0.0
        self.alone = True
        self.segment_ms = [0.0] * (prefix.exits + 1)
        self.head_ms = [0.0] * (prefix.exits + 1)
        self._hidden: list[list[Array]] = []

    def tensors(self, cut: int) -> list[Array]:
        """What crosses `cut`, which must have been reached; cut 0 is the canonical item."""
        return [self.item] if cut == 0 else self._hidden[cut - 1]

    def pooled_hidden(self) -> FloatArray | None:
        """(D,) the hidden state that the exit at the present depth reads, pooled; None at the last exit."""
        if self.depth == self.prefix.exits:
            return None
        return pooled(self._hidden[-1][self.prefix.head_feeds[self.depth - 1][0]])

    @property
    def tokens(self) -> Array | None:
        """(T,) ids of the text's tokens; None for a picture."""
        return self.item[0] if isinstance(self.prefix.intake, Text) else None

    def measures(self) -> dict[str, float]:
        """What the input is like; see `Intake.measures`."""
        return self.prefix.intake.measures(self.item)

    def deepen(self) -> None:
        """Run the next segment.

        Raises:
            BackendError: the engine refuses.
        """
        prefix, k = self.prefix, self.depth + 1
        started_s = prefix.clock()
        hidden = prefix.segments[k - 1].run(self.feeds())
        if prefix.pace:
            prefix.pace.segment(k, started_s)
        self._advance(hidden, (prefix.clock() - started_s) * 1e3)

    def feeds(self) -> list[Array]:
        """What the next segment takes."""
        return self._hidden[-1] if self._hidden else self.prefix.intake.tensors(self.item)

    def _advance(self, hidden: list[Array], ms: float) -> None:
        self.depth += 1
        self._hidden.append(hidden)
        self.segment_ms[self.depth] = ms
        self.device_ms += ms

    def logits(self) -> Array:
        """(C,) logits of the exit at the present depth, which must be at least 1.

        Raises:
            BackendError: the engine refuses.
        """
        prefix, k = self.prefix, self.depth
        if k == prefix.exits:
            final: Array = self._hidden[-1][0][0]
            return final
        started_s = prefix.clock()
        hidden = self._hidden[-1]
        logits: Array = prefix.heads[k - 1].run([hidden[i] for i in prefix.head_feeds[k - 1]])[0][0]
        if prefix.pace:
            prefix.pace.head(k, started_s)
        self.head_ms[k] = (prefix.clock() - started_s) * 1e3
        self.device_ms += self.head_ms[k]
        return logits


def deepen_together(runs: Sequence[Run]) -> None:
    """Run the next segment of several frames at once; each is said to have taken its share of the time.

    Args:
        runs: at the same depth of the same prefix, with tensors of the same shapes.

    Raises:
        BackendError: the engine refuses; then nothing has changed.
    """
    prefix, k = runs[0].prefix, runs[0].depth + 1
    started_s = prefix.clock()
    feeds = [np.concatenate(rows) for rows in zip(*(run.feeds() for run in runs), strict=True)]
    hidden = prefix.segments[k - 1].run(feeds)
    if prefix.pace:
        prefix.pace.segment(k, started_s, len(runs))
    share_ms = (prefix.clock() - started_s) * 1e3 / len(runs)
    for row, run in enumerate(runs):
        run._advance([tensor[row : row + 1] for tensor in hidden], share_ms)
        run.alone = False
