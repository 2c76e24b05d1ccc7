"""Bundles, loaded: which tensors may enter where, how they are decoded, and one segment at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from split_core import bundle
from split_core.backends.base import Backend, Session
from split_core.bundle import MANIFEST
from split_core.codecs import CODECS
from split_core.codecs.base import Codec
from split_core.errors import BundleError, CodecError, ConfigError, MissingExtra, WireError
from split_core.intake import intake_of
from split_core.manifest import Manifest
from split_core.preprocess import Preprocess
from split_core.tensors import Array, TensorSpec, axis_sizes
from split_core.tokeniser import Tokeniser
from split_core.wire import Offload

REHEARSALS = 3  # the first run allocates; the fastest of three is what a request will see


class Model:
    """Segments 1..K of one bundle.  Heads stay on the devices: a worker has the final exit.

    Args:
        manifest: what it is.
        sessions: segments 1..K, once per engine; the same objects where the backend shares sessions.
        codecs: all that may be asked for, by name.
    """

    def __init__(self, manifest: Manifest, sessions: Sequence[Sequence[Session]], codecs: Mapping[str, Codec]) -> None:
        self.id, self.name, self.exits = manifest.id, manifest.name, manifest.exits
        self._intake = intake_of(manifest)
        self._cuts = tuple(tuple(tensor.spec for tensor in cut.tensors) for cut in manifest.cuts)
        self._outputs = tuple(tensor.spec for tensor in manifest.outputs)
        self._max_length = manifest.preprocess.max_length if isinstance(manifest.preprocess, Tokeniser) else None
        self._longest = {name: max(sizes) for name, sizes in manifest.axes.items()}
        self._sessions, self._codecs = sessions, codecs

    def _is_item(self, offload: Offload) -> bool:
        """Does it carry a canonical item, an image or token ids, instead of tensors of the network?"""
        return offload.cut == 0 and self._intake is not None and self._codecs[offload.codec].kind == "input"

    def _entry(self, offload: Offload) -> tuple[TensorSpec, ...]:
        """What a request must carry."""
        return self._intake.specs if self._intake and self._is_item(offload) else self._cuts[offload.cut]

    def joins(self, segment: int) -> bool:
        """May several requests run `segment` together?  Not when one of its inputs has no batch axis."""
        return all(spec.shape and spec.shape[0] is None for spec in self._cuts[segment - 1])

    def row_shapes(self, segment: int, shapes: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        """What must be equal in requests that run `segment` together: the shapes of one row of its inputs.

        Args:
            segment: 1..K.
            shapes: of the tensors that a request brings.

        Returns:
            Nothing where the bundle fixes these shapes.
        """
        if not any(isinstance(size, str) for spec in self._cuts[segment - 1] for size in spec.shape):
            return ()
        return tuple(shape[1:] for shape in shapes)

    def rows_of(self, offload: Offload) -> int:
        """How many samples a request carries; nothing is decoded for this.

        Raises:
            WireError: the request does not fit this bundle: cut, codec, or a tensor's dtype or shape.
        """
        if not 0 <= offload.cut < self.exits:
            raise WireError(f"cut {offload.cut} is none of 0..{self.exits - 1} of bundle {self.id[:12]}")
        self._check_codec(offload)
        specs = self._entry(offload)
        if len(offload.tensors) != len(specs):
            raise WireError(f"cut {offload.cut} carries {len(specs)} tensors, got {len(offload.tensors)}")
        for spec, tensor in zip(specs, offload.tensors, strict=True):
            wrong = spec.mismatch_of(tensor.dtype, tensor.shape)
            if wrong:
                raise WireError(f"cut {offload.cut}: {wrong}")
        self._check_axes(offload, specs)
        return self._common_rows(offload, specs)

    def _check_codec(self, offload: Offload) -> None:
        codec = self._codecs.get(offload.codec)
        if codec is None:
            raise WireError(f"no codec named {offload.codec[:40]!r} here; there are: {', '.join(self._codecs)}")
        wanted = self._kinds(offload.cut)
        if codec.kind not in wanted:
            raise WireError(
                f"cut {offload.cut} takes {' or '.join(wanted)} codecs, {offload.codec!r} is one for {codec.kind}"
            )

    def _kinds(self, cut: int) -> tuple[str, ...]:
        """An image is shipped as one; a text as its ids, or as ids and mask."""
        if cut or self._intake is None:
            return ("hidden",)
        return ("input",) if isinstance(self._intake, Preprocess) else ("input", "hidden")

    def _check_axes(self, offload: Offload, specs: Sequence[TensorSpec]) -> None:
        sizes = axis_sizes(specs, [tensor.shape for tensor in offload.tensors])
        if isinstance(sizes, str):
            raise WireError(f"cut {offload.cut}: {sizes}")
        for name, size in sizes.items():
            # Attention takes memory with the square of it: one request must not take all there is.
            if self._max_length is not None and size > self._max_length:
                raise WireError(
                    f"cut {offload.cut}: axis {name!r} is {size} long, at most {self._max_length} is expected"
                )

    def _common_rows(self, offload: Offload, specs: Sequence[TensorSpec]) -> int:
        rows = {t.shape[0] for s, t in zip(specs, offload.tensors, strict=True) if s.shape and s.shape[0] is None}
        if len(rows) > 1:
            raise WireError(f"cut {offload.cut}: the tensors have {sorted(rows)} rows; expected the same number")
        return rows.pop() if rows else 1

    def decode(self, offload: Offload) -> tuple[Array, ...]:
        """The input of segment `offload.cut + 1`, from a request that passed `rows_of`.

        Raises:
            CodecError: the payload is not what its header says.
        """
        codec = self._codecs[offload.codec]
        tensors = tuple(codec.decode(tensor) for tensor in offload.tensors)
        if self._intake is not None and self._is_item(offload):
            return tuple(self._intake.tensors(tensors[0]))
        return tensors

    def run(self, segment: int, tensors: Sequence[Array], engine: int) -> list[Array]:
        """Run segment 1..K on a batch with the sessions of `engine`.

        Raises:
            BackendError: the engine refuses.
        """
        return self._sessions[engine][segment - 1].run(tensors)

    def rehearse(self, clock: Callable[[], float]) -> list[float]:
        """Run every session on zeros and check what comes out.

        Returns:
            Seconds that segments 1..K take for one row, the fastest of a few runs; dynamic axes are as
            long as they were when the bundle was proved.

        Raises:
            BundleError: a segment makes something else than the manifest says.
            BackendError: a segment cannot run.
        """
        self._rehearse_codecs()
        fastest = [float("inf")] * self.exits
        for engine in range(len(self._sessions)):
            for _ in range(REHEARSALS):
                fastest = [min(pair) for pair in zip(fastest, self._rehearse_once(engine, clock), strict=True)]
        return fastest

    def _rehearse_codecs(self) -> None:
        """Decode something with each: the first picture costs 30 ms of imports, and nobody's deadline pays that."""
        carried = [
            np.zeros(spec.sized(self._longest), spec.dtype) for spec in {spec for specs in self._cuts for spec in specs}
        ]
        for zeros in [*carried, *([self._intake.blank()] if self._intake else [])]:
            for codec in self._codecs.values():
                with suppress(CodecError):  # not every codec carries every tensor
                    codec.decode(codec.encode(zeros))

    def _rehearse_once(self, engine: int, clock: Callable[[], float]) -> list[float]:
        tensors = [np.zeros(spec.sized(self._longest), spec.dtype) for spec in self._cuts[0]]
        seconds = []
        for segment in range(1, self.exits + 1):
            started_s = clock()
            tensors = self.run(segment, tensors, engine)
            seconds.append(clock() - started_s)
            self._check_outputs(segment, tensors)
        return seconds

    def _check_outputs(self, segment: int, outputs: Sequence[Array]) -> None:
        specs = self._outputs if segment == self.exits else self._cuts[segment]
        for spec, output in zip(specs, outputs, strict=False):
            wrong = spec.mismatch(output)
            if wrong:
                raise BundleError(f"bundle {self.id[:12]}: segment {segment} makes something else; {wrong}")


def known_codecs() -> dict[str, Codec]:
    """All codecs of the registry whose libraries are installed."""
    codecs: dict[str, Codec] = {}
    for name in CODECS:
        with suppress(MissingExtra):
            codecs[name] = CODECS.load(name)()
    return codecs


def bundle_folders(paths: Iterable[Path]) -> list[Path]:
    """The bundles in these folders: each is one, or holds `<name>/<version>/` of several.

    Raises:
        ConfigError: a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        here = [path] if (path / MANIFEST).is_file() else sorted(p.parent for p in path.glob(f"*/*/{MANIFEST}"))
        if not here:
            raise ConfigError(
                f"bundles: {path} is no bundle and holds none; expected {MANIFEST} in it or in <name>/<version>/"
            )
        found += here
    return found


def load_model(folder: Path, backend: Backend, *, threads: int, engines: int, precision: str = "") -> Model:
    """Verify and load one bundle, as exported or in another of its precisions.

    Raises:
        BundleError: it is damaged or not certified, or gives no class logits.
        ConfigError: it does not have this precision.
        BackendError: the backend cannot load a segment.
    """
    loaded = bundle.load(folder)
    if loaded.manifest.labels is None:
        raise BundleError(f"{folder}: gives no class logits; a worker answers with those, so it serves classifiers")
    segments = loaded.manifest.variant(precision).segments
    copies = [
        [loaded.session(piece, backend, threads=threads) for piece in segments]
        for _ in range(1 if backend.shares_sessions else engines)
    ]
    return Model(loaded.manifest, copies * (engines // len(copies)), known_codecs())
