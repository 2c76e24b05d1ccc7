"""What people call the places of a network: the module that a node came from, in the words of its author."""

from __future__ import annotations

import ast

from onnx import NodeProto

SCOPES = "pkg.torch.onnx.name_scopes"  # the dynamo exporter: "['', 'features.3', 'features.3.conv', 'add_7']"


def block_of(node: NodeProto) -> str:
    """Dotted path of the module that this node is part of; empty where the file does not tell."""
    scopes = next((item.value for item in node.metadata_props if item.key == SCOPES), "")
    return _deepest(scopes) if scopes else _from_name(node.name)


def _deepest(scopes: str) -> str:
    """The last scope but the node's own name."""
    try:
        parts = ast.literal_eval(scopes)
    except (ValueError, SyntaxError):
        return ""
    modules = [part for part in parts[:-1] if isinstance(part, str)] if isinstance(parts, list) else []
    return modules[-1] if modules else ""


def _from_name(name: str) -> str:
    """`/vit/encoder/layer.0/attention/Add_1` -> `vit.encoder.layer.0.attention`, as TorchScript's exporter names nodes.

    A module in a list is written with its list before it, `/layer/layer.0`: the repetition is left out.
    """
    parts = [part for part in name.split("/")[:-1] if part]
    path: list[str] = []
    for part in parts:
        if path and part.startswith(f"{path[-1]}."):
            path.pop()
        path.append(part)
    return ".".join(path)
