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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from split_core.backends.base import Backend, Session
from split_core.config import first_error
from split_core.errors import BundleError, CertificateError
from split_core.files import canonical_json, directory_written_atomically, sha256_of, sha256_of_file
from split_core.intake import Intake, intake_of
from split_core.manifest import File, Manifest, Piece
from split_core.tensors import Array

MANIFEST, CERTIFICATE = "manifest.json", "certificate.json"


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

    def intake(self) -> Intake | None:
        """How a picture or text becomes the network's input; None when that is not known.

        Raises:
            MissingExtra: a text network's tokeniser is here and the library that runs it is not installed.
            DataError: its tokeniser is none.
        """
        held = self.manifest.tokeniser
        return intake_of(self.manifest, self._contents[held.file] if held else None)

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
        if tuple(session.inputs) != piece.inputs or tuple(session.outputs) != piece.made:
            raise BundleError(
                f"{self.root / piece.file}: takes {session.inputs} and makes {session.outputs}, manifest says "
                f"{piece.inputs} and {piece.made}; partition the network again"
            )
        return session if piece.made == piece.outputs else HandingOn(session, piece.outputs)


class HandingOn:
    """A session whose piece hands on some of what it takes, a mask for example, to the next cut as it is.

    No engine sees those outputs: TensorRT renames an output that is an input, and onnxruntime 1.23 returns
    zeros for it.  What is handed on is the caller's own array, not a copy.

    Args:
        session: makes the others.
        outputs: all, in order.
    """

    def __init__(self, session: Session, outputs: tuple[str, ...]) -> None:
        self._session = session
        self.inputs, self.outputs = session.inputs, outputs
        # For each output whether it was made, and its place among the made ones or the inputs.
        self._places = [
            (True, session.outputs.index(name)) if name in session.outputs else (False, session.inputs.index(name))
            for name in outputs
        ]

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        """See `Session.run`."""
        results = self._session.run(feeds)
        return [(results if made else feeds)[place] for made, place in self._places]


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
    """Pieces and tokeniser.  Weights in files of their own are verified where they are: memory may be too small."""
    for item in manifest.weights():
        _expect(root / item.file, _hashed(root / item.file), item.sha256)
    held: list[File] = [*manifest.all_pieces(), *([manifest.tokeniser] if manifest.tokeniser else [])]
    return {item.file: _verified(root, item.file, item.sha256) for item in held}


def _read_manifest(root: Path) -> tuple[Manifest, str]:
    path = root / MANIFEST
    try:
        document = Sealed.model_validate_json(_read(path))
    except ValidationError as error:
        raise BundleError(f"{path}: {first_error(error, Sealed)}; partition the network again") from error
    if document.id != document.manifest.id:
        raise BundleError(
            f"{path}: content hashes to {document.manifest.id[:12]}, it says {document.id[:12]}; copy the bundle again"
        )
    return document.manifest, document.certificate_sha256


class Sealed(BaseModel):
    """`manifest.json`: a manifest, its id, and the hash of its certificate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
