"""The manifest of a cut network: what the graph says, and what a person adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from partitioner.cut import Part, Parts
from partitioner.network import Network
from partitioner.preprocess import Said, settled, tokeniser_of
from partitioner.weights import Weights
from split_core.config import Section, first_error
from split_core.errors import ConfigError, ModelError
from split_core.files import sha256_of
from split_core.manifest import FORMAT, Cut, File, Manifest, Piece, Spec
from split_core.preprocess import AnyPreprocess, Preprocess

TOKENISER = "tokenizer.json"


class NetworkFile(Section):
    """What `offramp partition --config` reads: all that a network does not say about itself."""

    name: str | None = None
    version: str | None = None
    labels: tuple[str, ...] | None = None
    preprocess: Said | None = None

    def settled(self, folder: Path) -> AnyPreprocess | None:
        """The preprocessing, with files read that it names relative to `folder`."""
        return settled(self.preprocess, folder)

    def tokeniser(self, folder: Path) -> bytes | None:
        """The `tokenizer.json` that the preprocessing names relative to `folder`; None where it names none."""
        return tokeniser_of(self.preprocess, folder)


class Identity(Section):
    """What the manifest says beside the graph.

    Attributes:
        name, version: of the bundle.
        labels: names of the classes; None for "0", "1", ...
        preprocess: how an image, or a text, becomes an input; None when that is not known.
        tokeniser: content of the `tokenizer.json` that it names; None where there is only a name.
    """

    name: str
    version: str = "1"
    labels: tuple[str, ...] | None = None
    preprocess: AnyPreprocess | None = None
    tokeniser: bytes | None = None


def manifest_of(network: Network, parts: Parts, identity: Identity, blocks: Mapping[tuple[str, ...], str]) -> Manifest:
    """The manifest of these parts.

    Args:
        network: with its cuts and exits.
        parts: its pieces.
        identity: see there.
        blocks: what people call the cuts, by tensors.

    Raises:
        ConfigError: labels, name or preprocessing do not fit the network.
    """
    if identity.preprocess is not None:
        _check_preprocess(network, identity.preprocess)
    labels = _labels(network, identity.labels)
    try:
        return Manifest(
            format=FORMAT,
            name=identity.name,
            version=identity.version,
            labels=labels,
            preprocess=identity.preprocess,
            cuts=tuple(
                Cut(index=k, tensors=_specs(network, tensors), block=blocks.get(tensors, "") if k else "input")
                for k, tensors in enumerate(parts.cuts)
            ),
            segments=tuple(_piece(parts, part, trained=True) for part in parts.segments),
            heads=tuple(_piece(parts, part, trained=part.outputs[0] not in network.untrained) for part in parts.heads),
            outputs=_specs(network, network.finals),
            axes=_axes(network, (*parts.cuts, network.finals)),
            source=network.source,
            tokeniser=_tokeniser(identity),
        )
    except ValidationError as error:
        raise ConfigError(
            f"bundle {identity.name!r} version {identity.version!r}: {first_error(error, Manifest)}"
        ) from error


def _tokeniser(identity: Identity) -> File | None:
    content = identity.tokeniser
    return None if content is None else File(file=TOKENISER, sha256=sha256_of(content), bytes=len(content))


def _labels(network: Network, said: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names for the classes; None for a network that has none.

    Raises:
        ConfigError: another number of names.
    """
    classes = _classes(network) if network.exits else None
    if said is not None and len(said) != classes:
        raise ConfigError(f"labels: the network has {classes or 'no'} classes, got {len(said)} names")
    if classes is None:
        return None
    return tuple(said) if said is not None else tuple(str(label) for label in range(classes))


def _classes(network: Network) -> int:
    """C, the same at every exit."""
    shapes = {name: network.spec(name).row_shape for name in network.exits}
    final = shapes[network.finals[0]]
    for name, shape in shapes.items():
        if len(shape) != 1 or shape != final or not isinstance(shape[0], int):
            raise ModelError(
                f"exit {name!r}: expected logits (batch, classes) of the same width as {network.finals[0]!r} "
                f"with {final} per sample, got {shape} per sample"
            )
    return int(final[0])


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


def _axes(network: Network, borders: Sequence[Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Two sizes of every dynamic axis that some border has."""
    dims = (dim for tensors in borders for name in tensors for dim in network.spec(name).row_shape)
    return {dim: network.shapes.axes[dim] for dim in dims if isinstance(dim, str)}


def _specs(network: Network, tensors: Sequence[str]) -> tuple[Spec, ...]:
    specs = [network.spec(name) for name in tensors]
    return tuple(Spec(name=spec.name, dtype=spec.dtype, shape=spec.shape) for spec in specs)


def _piece(parts: Parts, part: Part, *, trained: bool) -> Piece:
    return Piece(
        file=part.file,
        sha256=sha256_of(part.model),
        bytes=len(part.model),
        inputs=part.inputs,
        outputs=part.outputs,
        trained=trained,
        weights=tuple(_file(name, parts.weights[name]) for name in part.outside),
    )


def _file(name: str, weights: Weights) -> File:
    return File(file=name, sha256=weights.sha256, bytes=weights.size_bytes)
