"""A bundle's trained heads, put back on the uncut network: what its pieces are compared with."""

from __future__ import annotations

from dataclasses import replace

import onnx
from onnx import ModelProto

from partitioner.network import Network
from split_core.bundle import Bundle
from split_core.errors import ModelError


def with_trained_heads(network: Network, bundle: Bundle) -> Network:
    """The network with these heads where it has untrained ones.

    Args:
        network: with the bundle's cuts, and an exit at each of them.
        bundle: made from it, its heads trained since.

    Raises:
        ModelError: an exit has another name here than in the bundle.
    """
    model = ModelProto()
    model.CopyFrom(network.model)
    learned = {number for number, piece in enumerate(bundle.manifest.heads, 1) if is_ours(bundle, number)}
    for number in sorted(learned):
        piece, name = bundle.manifest.heads[number - 1], network.exits[number - 1]
        if piece.outputs != (name,):
            raise ModelError(f"exit {number}: is {name!r} here, {piece.outputs[0]!r} in the bundle; give its network")
        _replace(model, name, onnx.load_model_from_string(bundle.content(piece)))
    if not learned:
        return network
    untrained = tuple(name for k, name in enumerate(network.exits, 1) if name in network.untrained and k not in learned)
    return replace(network, model=model, untrained=untrained)


def is_ours(bundle: Bundle, number: int) -> bool:
    """Was this exit's head trained here?"""
    return str(number) in bundle.manifest.source.get("trained_exits", "").split(",")


def _replace(model: ModelProto, logits: str, head: ModelProto) -> None:
    """Take away what made `logits` here, all of which is named after it, and add the nodes of `head`."""
    graph = model.graph
    kept = [node for node in graph.node if not any(_belongs(name, logits) for name in node.output)]
    del graph.node[:]
    graph.node.extend([*kept, *head.graph.node])
    weights = [item for item in graph.initializer if not _belongs(item.name, logits)]
    del graph.initializer[:]
    graph.initializer.extend([*weights, *head.graph.initializer])


def _belongs(name: str, logits: str) -> bool:
    return name == logits or name.startswith((f"{logits}.", f"{logits}/"))
