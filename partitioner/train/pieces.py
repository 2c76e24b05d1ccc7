"""ONNX pieces of a head: the pooling alone, to train on, and the whole head, to ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper

from partitioner.heads.trainable import Parameters, TrainableHead
from split_core.bundle import Bundle
from split_core.errors import ConfigError, ModelError
from split_core.files import sha256_of
from split_core.manifest import Piece
from split_core.tensors import TensorSpec

FLOAT = helper.np_dtype_to_tensor_dtype(np.dtype("float32"))


@dataclass(frozen=True)
class Place:
    """Where an exit hangs.

    Attributes:
        exit: its number, 1..K-1; it hangs on the cut of that number.
        logits: name of its output.
        specs: tensors of its cut.
        classes: C.
        opset, ir_version: of the bundle's pieces.
        code: ONNX element type of its logits.
        head: what is put there.
        features: F, what it pools.
    """

    exit: int
    logits: str
    specs: tuple[TensorSpec, ...]
    classes: int
    opset: int
    ir_version: int
    code: int
    head: TrainableHead
    features: int

    @property
    def pooled(self) -> str:
        """Name of the pooled features."""
        return f"{self.logits}.pooled"

    @property
    def taken(self) -> tuple[str, ...]:
        """Those of the cut's tensors that the pooling takes, in the cut's order."""
        used = {name for node in self.head.pool(self.specs, self.pooled, self.opset) for name in node.input}
        return tuple(spec.name for spec in self.specs if spec.name in used)


def places_of(bundle: Bundle, head: TrainableHead, exits: Sequence[int] = ()) -> list[Place]:
    """The exits to train.

    Args:
        bundle: whose.
        head: what each of them gets.
        exits: numbers 1..K-1; none for those that nobody has trained.

    Raises:
        ConfigError: the bundle has no class logits, no such exit, or none that waits for training.
        ModelError: the head does not suit what crosses a cut.
    """
    manifest = bundle.manifest
    if manifest.labels is None:
        raise ConfigError(f"{manifest.name}: gives no class logits, so it has no exits to train")
    for number in exits:
        if not 1 <= number < manifest.exits:
            raise ConfigError(f"--exits {number}: expected 1..{manifest.exits - 1}; the final exit is the network's")
    untrained = [number for number, piece in enumerate(manifest.heads, 1) if not piece.trained]
    if not (chosen := sorted(set(exits)) or untrained):
        raise ConfigError(f"{manifest.name}: every exit is trained; say with --exits which ones to train anew")
    return [_place(bundle, head, number) for number in chosen]


def _place(bundle: Bundle, head: TrainableHead, number: int) -> Place:
    manifest = bundle.manifest
    piece, specs = manifest.heads[number - 1], tuple(tensor.spec for tensor in manifest.cuts[number].tensors)
    old = onnx.load_model_from_string(bundle.content(piece))
    features = head.features(specs)
    if features is None:
        crosses = " + ".join(f"{spec.name} {spec.dtype} {spec.row_shape}" for spec in specs)
        raise ModelError(f"exit {number}: this head does not suit a cut that carries {crosses}; give another --head")
    return Place(
        exit=number,
        logits=piece.outputs[0],
        specs=specs,
        classes=len(manifest.labels or ()),
        opset=next(item.version for item in old.opset_import if item.domain in ("", "ai.onnx")),
        ir_version=old.ir_version,
        code=old.graph.output[0].type.tensor_type.elem_type,
        head=head,
        features=features,
    )


def pooling_model(place: Place) -> bytes:
    """From the tensors that the pooling takes to features (batch, F) float32."""
    value = helper.make_tensor_value_info(place.pooled, FLOAT, [_batch(place), place.features])
    return bytes(_model(place, _pooling(place), {}, value).SerializeToString(deterministic=True))


def head_model(place: Place, parameters: Parameters) -> bytes:
    """From the tensors that the pooling takes to logits (batch, C), of the type that the exit had before."""
    made = place.logits if place.code == FLOAT else f"{place.logits}.wide"
    nodes, weights = place.head.layers(parameters, place.pooled, made)
    if made != place.logits:
        nodes.append(helper.make_node("Cast", [made], [place.logits], to=place.code))
    value = helper.make_tensor_value_info(place.logits, place.code, [_batch(place), place.classes])
    model = _model(place, [*_pooling(place), *nodes], weights, value)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def head_piece(old: Piece, place: Place, content: bytes) -> Piece:
    """What the manifest says of the new head."""
    return Piece(
        file=old.file,
        sha256=sha256_of(content),
        bytes=len(content),
        inputs=place.taken,
        outputs=(place.logits,),
        trained=True,
    )


def _pooling(place: Place) -> list[NodeProto]:
    """Nodes that make the features, in float32 whatever crosses the cut."""
    crossing = next(spec for spec in place.specs if spec.dtype.startswith("float"))
    if crossing.dtype == "float32":
        return place.head.pool(place.specs, place.pooled, place.opset)
    inner = f"{place.pooled}/narrow"
    cast = helper.make_node("Cast", [inner], [place.pooled], to=FLOAT)
    return [*place.head.pool(place.specs, inner, place.opset), cast]


def _model(place: Place, nodes: list[NodeProto], weights: Mapping[str, np.ndarray], made: ValueInfoProto) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        f"heads.exit_{place.exit}",
        [_taken(spec) for spec in place.specs if spec.name in place.taken],
        [made],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", place.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=place.ir_version, producer_name="offramp")


def _taken(spec: TensorSpec) -> ValueInfoProto:
    dims = ["batch" if size is None else size for size in spec.shape]
    return helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), dims)


def _batch(place: Place) -> str | int:
    return 1 if place.specs[0].shape[0] == 1 else "batch"
