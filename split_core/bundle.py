"""A bundle: one network cut into segments, with exit heads, manifest and certificate.  Immutable.

    <bundles>/<name>/<version>/manifest.json
                               certificate.json
                               segments/segment_1.onnx ... heads/exit_1.onnx ...

The bundle's id is the SHA-256 of the manifest's content, which holds the hash of every piece.  The
certificate is named in the manifest but not part of the id, so that certifying again on another
device keeps the id, and with it every policy that is bound to it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from split_core.backends.base import Backend, Session
from split_core.config import first_error
from split_core.errors import BundleError, CertificateError, ConfigError
from split_core.files import canonical_json, directory_written_atomically, sha256_of, sha256_of_file
from split_core.preprocess import AnyPreprocess, Preprocess
from split_core.registry import suggestion
from split_core.tensors import TensorSpec

FORMAT = 2
MANIFEST, CERTIFICATE = "manifest.json", "certificate.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spec(_Strict):
    """A `TensorSpec` as it is written; `shape[0]` is null for the batch, dynamic axes have names."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    @cached_property
    def spec(self) -> TensorSpec:
        """The checked form."""
        return TensorSpec(self.name, self.dtype, self.shape)

    @model_validator(mode="after")
    def _checks_itself(self) -> Spec:
        TensorSpec(self.name, self.dtype, self.shape)
        return self


class File(_Strict):
    """A file of the bundle, by its path inside, with the `sha256` and number of its bytes."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)

    @field_validator("file")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or not path.parts:
            raise ValueError(f"path {value!r} leaves the bundle")
        return value


class Piece(File):
    """One ONNX file.

    Attributes:
        inputs, outputs: names, in order.
        trained: False for a head that was attached here and knows nothing yet: it answers 1/C for every class.
        weights: file with the weights that do not fit into the ONNX file, which ends at 2 GB.
    """

    inputs: tuple[str, ...] = Field(min_length=1)
    outputs: tuple[str, ...] = Field(min_length=1)
    trained: bool = True
    weights: File | None = None


class Precision(_Strict):
    """The same pieces in another precision; what crosses a cut stays as it is, so precisions mix across one."""

    segments: tuple[Piece, ...] = Field(min_length=1)
    heads: tuple[Piece, ...]


class Cut(_Strict):
    """The tensors that cross after segment `index`; cut 0 is the network's input.

    `block` is what people call the place: the part of the network that ends there.
    """

    index: int = Field(ge=0)
    tensors: tuple[Spec, ...] = Field(min_length=1)
    block: str = ""

    def row_bytes(self, axes: Mapping[str, int]) -> int:
        """Bytes of one sample, uncompressed, when the dynamic axes are as long as `axes` says."""
        return sum(tensor.spec.row_bytes(axes) for tensor in self.tensors)


class Manifest(_Strict):
    """What a bundle is.  Segment k takes what cut k-1 carries and makes what cut k carries.

    Attributes:
        segments: pieces 1..K; the last one makes the network's outputs, the final exit's logits first.
        heads: pieces for exits 1..K-1, from the tensors of cut k to logits; none without `labels`.
        cuts: cuts 0..K-1.
        outputs: what segment K makes.
        axes: two sizes of each dynamic axis other than the batch that the network is proved at.
        preprocess: how an image, or a text, becomes the network's input; null when that is not known.
        labels: names of the classes; null for a network that gives no class logits.
        precisions: the pieces once more, by name: "int8", for example.
        source: where the network came from: its file's name and hash.
    """

    format: int
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    labels: tuple[str, ...] | None = Field(default=None, min_length=2)
    preprocess: AnyPreprocess | None = None
    cuts: tuple[Cut, ...] = Field(min_length=1)
    segments: tuple[Piece, ...] = Field(min_length=1)
    heads: tuple[Piece, ...]
    outputs: tuple[Spec, ...] = Field(min_length=1)
    axes: dict[str, tuple[int, int]] = Field(default_factory=dict)
    precisions: dict[str, Precision] = Field(default_factory=dict)
    source: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _segments_chain(self) -> Manifest:
        if self.format != FORMAT:
            raise ValueError(f"bundle format {self.format} is not the {FORMAT} that this version reads")
        if len(self.cuts) != len(self.segments):
            raise ValueError(f"{len(self.segments)} segments need as many cuts, got {len(self.cuts)}")
        self._check_heads()
        for k, cut in enumerate(self.cuts):
            names = tuple(tensor.name for tensor in cut.tensors)
            if cut.index != k or self.segments[k].inputs != names:
                raise ValueError(f"segment {k + 1} takes {self.segments[k].inputs}, cut {cut.index} carries {names}")
            if k > 0 and self.segments[k - 1].outputs != names:
                raise ValueError(f"cut {k} carries {names}, segment {k} makes {self.segments[k - 1].outputs}")
        self._check_precisions()
        self._check_axes()
        return self

    def _check_heads(self) -> None:
        expected = len(self.segments) - 1 if self.labels is not None else 0
        if len(self.heads) != expected:
            raise ValueError(f"{len(self.segments)} segments need {expected} heads here, got {len(self.heads)}")
        for k, head in enumerate(self.heads, 1):
            names = {tensor.name for tensor in self.cuts[k].tensors}
            if not set(head.inputs) <= names:
                raise ValueError(f"head {k} takes {head.inputs}, cut {k} carries {tuple(sorted(names))}")

    def _check_axes(self) -> None:
        specs = [tensor for cut in self.cuts for tensor in cut.tensors] + list(self.outputs)
        named = {(dim, spec.name) for spec in specs for dim in spec.shape if isinstance(dim, str)}
        for axis, tensor in sorted(named):
            if axis not in self.axes:
                raise ValueError(f"tensor {tensor!r} has the axis {axis!r}, of which no sizes are given")

    def _check_precisions(self) -> None:
        """The same borders in every precision."""
        borders = [(piece.inputs, piece.outputs) for piece in self.pieces()]
        for name, variant in self.precisions.items():
            if [(piece.inputs, piece.outputs) for piece in (*variant.segments, *variant.heads)] != borders:
                raise ValueError(f"precision {name!r}: its pieces do not take and make what the others do")

    @property
    def exits(self) -> int:
        """K: number of segments and of exits."""
        return len(self.segments)

    @property
    def image(self) -> Preprocess | None:
        """How an image becomes the network's input, if it takes images."""
        return self.preprocess if isinstance(self.preprocess, Preprocess) else None

    @cached_property
    def id(self) -> str:
        """SHA-256 of the content, in hex.

        What has its default value is left out: a field that a later version adds changes no id.
        """
        return sha256_of(canonical_json(self.model_dump(mode="json", exclude_defaults=True)))

    def axes_at(self, which: int = 0) -> dict[str, int]:
        """How long the dynamic axes are at the first (0) or second (1) size that the network is proved at."""
        return {name: sizes[which] for name, sizes in self.axes.items()}

    def variant(self, precision: str = "") -> Precision:
        """Segments and heads as exported, or in another precision.

        Raises:
            ConfigError: the bundle does not have it.
        """
        if not precision:
            return Precision(segments=self.segments, heads=self.heads)
        if precision not in self.precisions:
            there = f"it has {', '.join(self.precisions)}" if self.precisions else "it has none but the exported"
            near = suggestion(precision, self.precisions)
            raise ConfigError(f"precision: bundle {self.name!r} has no {precision!r}{near}; {there}")
        return self.precisions[precision]

    def pieces(self, precision: str = "") -> tuple[Piece, ...]:
        """Segments, then heads, as `variant` gives them."""
        chosen = self.variant(precision)
        return (*chosen.segments, *chosen.heads)

    def all_pieces(self) -> tuple[Piece, ...]:
        """Pieces in every precision."""
        return tuple(piece for name in ("", *self.precisions) for piece in self.pieces(name))

    def weights(self) -> tuple[File, ...]:
        """Files with weights that pieces do not hold themselves."""
        return tuple(piece.weights for piece in self.all_pieces() if piece.weights is not None)


class Bundle:
    """A bundle on disk whose files are what its manifest says.

    Attributes:
        manifest: what it is.
        certificate: the proof that its pieces are the whole; empty while that is being made.
    """

    def __init__(
        self, root: Path, manifest: Manifest, certificate: dict[str, Any], contents: Mapping[str, bytes]
    ) -> None:
        self.root, self.manifest, self.certificate = root, manifest, certificate
        self._contents = contents

    @property
    def id(self) -> str:
        """The manifest's id."""
        return self.manifest.id

    def content(self, piece: Piece) -> bytes:
        """The piece's ONNX bytes, as verified when the bundle was loaded."""
        return self._contents[piece.file]

    def copy(self) -> dict[str, bytes | Source]:
        """What every file but the manifest and the certificate holds, for writing the bundle once more."""
        outside = {item.file: Kept(self.root / item.file) for item in self.manifest.weights()}
        return {**self._contents, **outside}

    def session(self, piece: Piece, backend: Backend, *, threads: int) -> Session:
        """The piece, loaded.

        Raises:
            BackendError: the engine cannot load it.
            BundleError: it takes or makes something else than the manifest says.
        """
        folder = (self.root / piece.file).parent if piece.weights else None
        session = backend.load(self.content(piece), threads=threads, folder=folder)
        if tuple(session.inputs) != piece.inputs or tuple(session.outputs) != piece.outputs:
            raise BundleError(
                f"{self.root / piece.file}: takes {session.inputs} and makes {session.outputs}, manifest says "
                f"{piece.inputs} and {piece.outputs}; partition the network again"
            )
        return session


def load(root: Path) -> Bundle:
    """Read a bundle and verify every hash and the certificate.

    Raises:
        BundleError: not there, damaged, or a piece has another hash than the manifest says.
        CertificateError: no certificate, one of another bundle, or one that did not pass.
    """
    manifest, certificate_sha256 = _read_manifest(root)
    contents = _contents(root, manifest)
    return Bundle(root, manifest, _read_certificate(root, manifest, certificate_sha256), contents)


def load_unproven(root: Path) -> Bundle:
    """Read a bundle and verify every hash, but not the certificate: for whoever is about to certify it.

    Raises:
        BundleError: as `load`.
    """
    manifest, _ = _read_manifest(root)
    return Bundle(root, manifest, {}, _contents(root, manifest))


def _contents(root: Path, manifest: Manifest) -> dict[str, bytes]:
    """All pieces.  Weights in files of their own are verified where they are: there may be more than fits into memory."""
    for item in manifest.weights():
        _expect(root / item.file, _hashed(root / item.file), item.sha256)
    return {piece.file: _verified(root, piece.file, piece.sha256) for piece in manifest.all_pieces()}


def _read_manifest(root: Path) -> tuple[Manifest, str]:
    path = root / MANIFEST
    try:
        document = Sealed.model_validate_json(_read(path))
    except ValidationError as error:
        raise BundleError(f"{path}: {first_error(error)}; partition the network again") from error
    if document.id != document.manifest.id:
        raise BundleError(
            f"{path}: content hashes to {document.manifest.id[:12]}, it says {document.id[:12]}; copy the bundle again"
        )
    return document.manifest, document.certificate_sha256


class Sealed(_Strict):
    """`manifest.json`: a manifest, its id, and the hash of its certificate."""

    id: str
    certificate_sha256: str
    manifest: Manifest


def _read_certificate(root: Path, manifest: Manifest, expected: str) -> dict[str, Any]:
    path = root / CERTIFICATE
    if not path.is_file():
        raise CertificateError(f"{path}: missing; run 'offramp verify {root}'")
    try:
        certificate = json.loads(_verified(root, CERTIFICATE, expected))
    except ValueError:
        certificate = None
    facts = certificate if isinstance(certificate, dict) else {}
    if facts.get("bundle_id") != manifest.id or facts.get("passed") is not True:
        raise CertificateError(f"{path}: does not certify this bundle; run 'offramp verify {root}'")
    return facts


def _verified(root: Path, name: str, expected: str) -> bytes:
    data = _read(root / name)
    _expect(root / name, sha256_of(data), expected)
    return data


def _expect(path: Path, actual: str, expected: str) -> None:
    if actual != expected:
        raise BundleError(f"{path}: sha256 is {actual[:12]}, manifest says {expected[:12]}; copy the bundle again")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); is this the folder with {MANIFEST}?") from error


def _hashed(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); copy the bundle again") from error


class Source(Protocol):
    """Content of a file that is too large to be held: knows how to write itself."""

    def write_to(self, path: Path) -> None:
        """Make the file; raises OSError where the disk refuses."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is there already."""

    path: Path

    def write_to(self, path: Path) -> None:
        """See `Source`."""
        shutil.copyfile(self.path, path)


Contents = Mapping[str, bytes | Source]
Prove = Callable[[Bundle], dict[str, Any]]


def write(bundles: Path, manifest: Manifest, contents: Contents, prove: Prove) -> Path:
    """Write `<bundles>/<name>/<version>/` whole or not at all; returns that folder.

    Args:
        bundles: the folder of bundles.
        manifest: of the bundle.
        contents: every file that it names.
        prove: makes the certificate of the files as they were written, before anyone else can see them.

    Raises:
        CertificateError: the certificate does not pass.
        BundleError: the disk refuses.
    """
    root = bundles / manifest.name / manifest.version
    write_to(root, manifest, contents, prove)
    return root


def write_to(root: Path, manifest: Manifest, contents: Contents, prove: Prove) -> None:
    """As `write`, into a folder of the caller's choice: a bundle that was moved is certified where it is.

    Raises:
        CertificateError: the certificate does not pass.
        BundleError: the disk refuses.
    """
    try:
        with directory_written_atomically(root) as partial:
            for name, content in contents.items():
                _write(partial / name, content)
            held = {name: content for name, content in contents.items() if isinstance(content, bytes)}
            _seal(partial, manifest, prove(Bundle(partial, manifest, {}, held)))
    except OSError as error:
        raise BundleError(f"{root}: cannot be written ({error.strerror}); nothing was changed") from error


def _write(path: Path, content: bytes | Source) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.write_to(path)


def _seal(folder: Path, manifest: Manifest, certificate: dict[str, Any]) -> None:
    if certificate.get("passed") is not True or certificate.get("bundle_id") != manifest.id:
        raise CertificateError(f"bundle {manifest.name}: not certified, nothing was written")
    proof = canonical_json(certificate)
    sealed = Sealed(id=manifest.id, certificate_sha256=sha256_of(proof), manifest=manifest)
    _write(folder / CERTIFICATE, proof)
    _write(folder / MANIFEST, sealed.model_dump_json(indent=1, exclude_defaults=True).encode())
