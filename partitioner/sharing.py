"""Weights that several segments use, such as the embeddings that a language model ties: stored once for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import onnx
from onnx import ModelProto, numpy_helper
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from partitioner.cut import Part, Parts
from partitioner.weights import Held, Region, Weights, point_outside, put_outside

FILE = "segments/shared.weights"
LEAST_BYTES = 1 << 20  # less is not worth a second file

Content = Region | Held


def with_shared_weights(parts: Parts) -> Parts:
    """The parts with every large weight of more than one segment in one file that they share.

    Segments that share nothing stay as they are, byte for byte.
    """
    models = [onnx.load_model_from_string(part.model) for part in parts.segments]
    contents = [_contents(part, model, parts.weights) for part, model in zip(parts.segments, models, strict=True)]
    counts = Counter(name for large in contents for name, content in large.items() if content.size >= LEAST_BYTES)
    found = {name: content for large in contents for name, content in large.items() if counts[name] > 1}
    if not found:
        return parts
    shared = Weights(tuple(found.values()))
    places = dict(zip(found, shared.places, strict=True))
    weights = dict(parts.weights)
    segments = tuple(
        _sharing(part, model, large, places, weights)
        for part, model, large in zip(parts.segments, models, contents, strict=True)
    )
    return replace(parts, segments=segments, weights={**weights, FILE: shared})


def _contents(part: Part, model: ModelProto, weights: Mapping[str, Weights]) -> dict[str, Content]:
    """The values of a piece's weights, those outside and those that may be large, by name."""
    found: dict[str, Content] = {}
    for tensor in model.graph.initializer:
        if uses_external_data(tensor):
            own = weights[part.outside[0]]
            found[tensor.name] = own.contents[own.places.index(ExternalDataInfo(tensor).offset or 0)]
        elif tensor.ByteSize() >= LEAST_BYTES:
            found[tensor.name] = Held(numpy_helper.to_array(tensor).tobytes())
    return found


def _sharing(
    part: Part,
    model: ModelProto,
    large: Mapping[str, Content],
    places: Mapping[str, int],
    weights: dict[str, Weights],
) -> Part:
    """The part with those weights of `places` in the shared file; what else it keeps outside is laid out again."""
    theirs = [tensor for tensor in model.graph.initializer if tensor.name in places]
    if not theirs:
        return part
    for tensor in theirs:
        point_outside(tensor, PurePosixPath(FILE).name, places[tensor.name], large[tensor.name].size)
    names = {tensor.name for tensor in theirs}
    own = [item for item in model.graph.initializer if uses_external_data(item) and item.name not in names]
    beside = part.outside[:1] if own else ()
    for file in part.outside:
        del weights[file]
    for file in beside:
        weights[file] = put_outside(own, [large[item.name] for item in own], PurePosixPath(file).name)
    return replace(part, model=model.SerializeToString(deterministic=True), outside=(*beside, FILE))
