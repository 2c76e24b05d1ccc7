"""From a model file to a bundle: import, cut, verify, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from partitioner.cut import Part, Parts, cut
from partitioner.importers import IMPORTERS
from partitioner.network import Network
from partitioner.preprocess import Said
from partitioner.verify import TOLERANCE, summary, verify
from split_core import bundle
from split_core.bundle import FORMAT, Bundle, Cut, Manifest, Piece, Spec
from split_core.config import Section, first_error
from split_core.errors import CertificateError, ConfigError, ModelError
from split_core.files import sha256_of
from split_core.preprocess import AnyPreprocess, Preprocess
from split_core.tensors import Array


def partition(
    model_path: Path,
    out: Path,
    *,
    name: str | None,
    version: str,
    labels: Sequence[str] | None,
    preprocess: AnyPreprocess | None,
    seed: int,
    clock: Callable[[], float],
    samples: Sequence[Array] = (),
    tolerance: float = TOLERANCE,
) -> Path:
    """Cut a network at its named hidden states, prove the pieces, write `<out>/<name>/<version>/`.

    Args:
        model_path: the network; its suffix chooses the importer.
        out: the folder of bundles.
        name: of the bundle; None for the model file's.
        version: of the bundle.
        labels: names of the classes; None for "0", "1", ...
        preprocess: how an image, or a text, becomes an input; None when that is not known.
        seed: of the random inputs that the proof uses.
        clock: seconds since 1970.
        samples: real inputs to prove on too, see `partitioner.verify.verify`.
        tolerance: see `partitioner.verify.verify`.

    Returns:
        The bundle's folder.

    Raises:
        ModelError: the model cannot be read or cut.
        ConfigError: labels, name or preprocessing do not fit the network.
        CertificateError: the pieces are not the whole; nothing is written.
        BundleError: the disk refuses; nothing is written.
    """
    network = read_network(model_path)
    parts = cut(network, network.cuts)
    manifest = manifest_of(
        network, parts, name=name or model_path.stem, version=version, labels=labels, preprocess=preprocess
    )
    certificate = verify(network, manifest, parts, seed=seed, clock=clock, samples=samples, tolerance=tolerance)
    _require(certificate, model_path)
    return bundle.write(out, manifest, parts.contents(), certificate)


def read_network(path: Path) -> Network:
    """Import a model file by its suffix.

    Raises:
        ModelError: no importer reads such files, or the file is not good.
    """
    if path.suffix not in IMPORTERS:
        raise ModelError(f"{path}: expected a model file ending in {', '.join(IMPORTERS)}")
    network: Network = IMPORTERS.load(path.suffix)(path)
    return network


def certify(
    root: Path,
    model_path: Path,
    *,
    seed: int,
    clock: Callable[[], float],
    samples: Sequence[Array] = (),
    tolerance: float = TOLERANCE,
) -> dict[str, Any]:
    """Prove a written bundle again, on this machine, and replace its certificate.

    Args:
        root: the bundle's folder.
        model_path: the network that it was made from.
        seed: of the random inputs that the proof uses.
        clock: seconds since 1970.
        samples: real inputs to prove on too, see `partitioner.verify.verify`.
        tolerance: see `partitioner.verify.verify`.

    Returns:
        The certificate; the bundle keeps its id.

    Raises:
        BundleError: damaged, or the disk refuses.
        ModelError: another network than the one that the bundle was made from.
        CertificateError: the pieces are not the whole here; the bundle is left as it was.
    """
    written, network = bundle.load_unproven(root), read_network(model_path)
    manifest = written.manifest
    if network.source["sha256"] != manifest.source.get("sha256"):
        raise ModelError(
            f"{model_path}: sha256 is {network.source['sha256'][:12]}, the bundle was made from "
            f"{manifest.source.get('file')} with {manifest.source.get('sha256', 'none')[:12]}; give that file"
        )
    parts = _parts_of(written)
    certificate = verify(network, manifest, parts, seed=seed, clock=clock, samples=samples, tolerance=tolerance)
    _require(certificate, root)
    bundle.write_to(root, manifest, parts.contents(), certificate)
    return certificate


def _parts_of(written: Bundle) -> Parts:
    """The pieces as they are on disk: it is these that are proved, not new ones."""
    manifest = written.manifest
    segments, heads = (
        tuple(Part(piece.file, written.content(piece), piece.inputs, piece.outputs) for piece in pieces)
        for pieces in (manifest.segments, manifest.heads)
    )
    return Parts(tuple(tuple(tensor.name for tensor in cut.tensors) for cut in manifest.cuts), segments, heads)


def _require(certificate: dict[str, Any], where: Path) -> None:
    if not certificate["passed"]:
        found = "; ".join(summary(certificate))
        raise CertificateError(f"{where}: the pieces are not the whole network, nothing was written; {found}")


class NetworkFile(Section):
    """What `offramp partition --config` reads: all that an ONNX file does not say about a network."""

    name: str | None = None
    version: str | None = None
    labels: tuple[str, ...] | None = None
    preprocess: Said | None = None


def manifest_of(
    network: Network,
    parts: Parts,
    *,
    name: str,
    version: str,
    labels: Sequence[str] | None,
    preprocess: AnyPreprocess | None,
) -> Manifest:
    """The manifest of these parts.

    Raises:
        ConfigError: labels, name or preprocessing do not fit the network.
    """
    classes = _classes(network)
    names = tuple(labels) if labels is not None else tuple(str(label) for label in range(classes))
    if len(names) != classes:
        raise ConfigError(f"labels: the network has {classes} classes, got {len(names)} names")
    if preprocess is not None:
        _check_preprocess(network, preprocess)
    try:
        return Manifest(
            format=FORMAT,
            name=name,
            version=version,
            labels=names,
            preprocess=preprocess,
            cuts=tuple(_cut(network, k, tensors) for k, tensors in enumerate(parts.cuts)),
            segments=tuple(_piece(part) for part in parts.segments),
            heads=tuple(_piece(part) for part in parts.heads),
            outputs=_cut(network, 0, (network.final,)).tensors,
            source=network.source,
        )
    except ValidationError as error:
        raise ConfigError(f"bundle {name!r} version {version!r}: {first_error(error, Manifest)}") from error


def _classes(network: Network) -> int:
    """C, the same at every exit."""
    shapes = {name: network.spec(name).row_shape for name in network.exits}
    final = shapes[network.final]
    for name, shape in shapes.items():
        if len(shape) != 1 or shape != final:
            raise ModelError(
                f"exit {name!r}: expected logits (batch, classes) of the same width as {network.final!r} "
                f"with {final} per sample, got {shape} per sample"
            )
    return final[0]


def _check_preprocess(network: Network, preprocess: AnyPreprocess) -> None:
    inputs = [network.spec(name) for name in network.flow.inputs]
    if isinstance(preprocess, Preprocess):
        made, row = f"float32 {preprocess.row_shape} images", (1, *preprocess.row_shape)
        fits = len(inputs) == 1 and inputs[0].mismatch_of("float32", row) is None
    else:
        made, fits = "token ids", any(spec.dtype in ("int32", "int64") for spec in inputs)
    if not fits:
        taken = ", ".join(f"{spec.name} {spec.dtype} {spec.row_shape}" for spec in inputs)
        raise ConfigError(f"preprocess: makes {made}, the network takes {taken}")


def _cut(network: Network, index: int, tensors: Sequence[str]) -> Cut:
    specs = [network.spec(name) for name in tensors]
    return Cut(index=index, tensors=tuple(Spec(name=s.name, dtype=s.dtype, shape=s.shape) for s in specs))


def _piece(part: Part) -> Piece:
    return Piece(
        file=part.file, sha256=sha256_of(part.model), bytes=len(part.model), inputs=part.inputs, outputs=part.outputs
    )
