"""Every piece of a bundle in other precisions, each piece on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import ModelProto

from partitioner.chain import Chain, Passage
from partitioner.precision import PRECISIONS
from partitioner.precision.base import Conversion, Feed, Untouched
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.errors import BackendError, ConfigError, ModelError
from split_core.files import sha256_of
from split_core.manifest import Manifest, Piece, Precision
from split_core.tensors import Array


@dataclass(frozen=True)
class Converted:
    """Pieces in other precisions, and what the manifest says of them.

    Attributes:
        manifest: with its `precisions`.
        contents: bytes of the new pieces, by file name.
        kept: pieces that stay as exported, with the reason, by precision and file.
    """

    manifest: Manifest
    contents: Mapping[str, bytes]
    kept: Mapping[str, Mapping[str, str]]


def converted(bundle: Bundle, names: Sequence[str], batches: Sequence[Sequence[Array]]) -> Converted:
    """The pieces of `bundle` in the precisions `names`.

    Args:
        bundle: pieces as exported, which need not be certified or on disk.
        names: of `PRECISIONS`.
        batches: samples, as tensors of cut 0; what a piece is calibrated with is what the pieces before it
            make of these as exported.

    Raises:
        ConfigError: no such precision, it needs samples, or weights are outside of the pieces.
        ModelError: no piece of the network can be converted.
        BackendError: onnxruntime cannot run a piece.
    """
    if bundle.manifest.weights():
        raise ConfigError("a piece over 2 GB has no other precision; cut more often, or leave --int8 and --fp16 out")
    conversions: dict[str, Conversion] = {name: PRECISIONS.load(name)() for name in names}
    for name, conversion in conversions.items():
        if conversion.needs_samples and not batches:
            raise ConfigError(f"precision {name!r} needs samples: --int8 SAMPLES")
    chain = Chain(bundle, OnnxRuntimeBackend(), threads=1)
    feeds = _feeds(bundle.manifest, [chain.run(batch) for batch in batches])
    results = [_all(bundle, name, conversion, feeds) for name, conversion in conversions.items()]
    made = {name: made for name, (made, _, _) in zip(conversions, results, strict=True)}
    # Through the constructor: it checks, and a copy would keep the id that was computed before.
    fields = {name: getattr(bundle.manifest, name) for name in Manifest.model_fields}
    manifest = Manifest(**{**fields, "precisions": {**bundle.manifest.precisions, **made}})
    contents = {file: content for _, new, _ in results for file, content in new.items()}
    return Converted(manifest, contents, {name: kept for name, (_, _, kept) in zip(conversions, results, strict=True)})


def _feeds(manifest: Manifest, passages: Sequence[Passage]) -> dict[str, list[Feed]]:
    """What each piece takes, by its file."""
    cuts = [*range(manifest.exits), *range(1, manifest.exits)]
    feeds: dict[str, list[Feed]] = {}
    for k, piece in zip(cuts, manifest.pieces(), strict=False):
        names = [tensor.name for tensor in manifest.cuts[k].tensors]
        held = [dict(zip(names, passage.cuts[k], strict=True)) for passage in passages]
        feeds[piece.file] = [{name: tensors[name] for name in piece.inputs} for tensors in held]
    return feeds


def _all(
    bundle: Bundle, name: str, conversion: Conversion, feeds: Mapping[str, list[Feed]]
) -> tuple[Precision, dict[str, bytes], dict[str, str]]:
    contents: dict[str, bytes] = {}
    kept: dict[str, str] = {}

    def variant(piece: Piece) -> Piece:
        file = f"precisions/{name}/{piece.file}"
        try:
            content = _one(bundle.content(piece), piece, conversion, feeds[piece.file])
        except Untouched as reason:
            kept[piece.file] = str(reason)
            return piece
        contents[file] = content
        return piece.model_copy(update={"file": file, "sha256": sha256_of(content), "bytes": len(content)})

    manifest = bundle.manifest
    made = Precision(
        segments=tuple(variant(piece) for piece in manifest.segments),
        heads=tuple(variant(piece) for piece in manifest.heads) if conversion.heads else manifest.heads,
    )
    if not contents:
        first = next(iter(kept.items()))
        raise ModelError(f"precision {name!r}: no piece can be converted; {first[0]}: {first[1]}")
    return made, contents, kept


def _one(content: bytes, piece: Piece, conversion: Conversion, feeds: Sequence[Feed]) -> bytes:
    exported = onnx.load_model_from_string(content)
    made = _bordered(conversion.convert(_copy(exported), feeds), exported)
    result = bytes(made.SerializeToString(deterministic=True))
    try:
        session = OnnxRuntimeBackend().load(result, threads=1)
    except BackendError as error:
        raise Untouched(str(error)) from error
    if (tuple(session.inputs), tuple(session.outputs)) != (piece.inputs, piece.made):
        raise Untouched(f"it would take {session.inputs} and make {session.outputs}")
    return result


def _copy(exported: ModelProto) -> ModelProto:
    """Converters change what they are given."""
    result = ModelProto()
    result.CopyFrom(exported)
    return result


def _bordered(made: ModelProto, exported: ModelProto) -> ModelProto:
    """The converted piece with the exported one's borders, IR version and provenance; the converter's notes go."""
    known = {item.domain for item in exported.opset_import}
    used = known | {node.domain for node in made.graph.node}
    imports = [item for item in made.opset_import if item.domain in used]
    result = ModelProto(
        ir_version=exported.ir_version,
        opset_import=imports,
        graph=made.graph,
        functions=made.functions,
        producer_name=exported.producer_name,
        producer_version=exported.producer_version,
    )
    for kind in ("input", "output", "value_info"):
        result.graph.ClearField(kind)
    result.graph.name = exported.graph.name
    result.graph.input.extend(exported.graph.input)
    result.graph.output.extend(exported.graph.output)
    return result
