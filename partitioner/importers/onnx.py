"""ONNX files to networks.  Reads and checks; never changes what the network computes."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError

from partitioner.network import Network, roles_of
from split_core.errors import ModelError
from split_core.files import sha256_of

# What JetPack 6 reads: TensorRT 10.3 and onnxruntime 1.18.
NEWEST_IR = 10


def read(path: Path) -> Network:
    """Load and check one ONNX file, with its external data.

    Raises:
        ModelError: missing, truncated, not ONNX, without its external data, without a dynamic batch, or
            with outputs that are neither hidden states nor exits.
    """
    data = _bytes_of(path)
    model = _parsed(path, data)
    _check(path, model)
    model.ir_version = min(model.ir_version, NEWEST_IR)
    cuts, exits = _named(path, model)
    network = Network(model, {"file": path.name, "sha256": sha256_of(data)}, cuts, exits)
    for name in (*network.flow.inputs, *exits):
        _check_spec(path, network, name)
    return network


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def _parsed(path: Path, data: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ModelError(f"{path}: not an ONNX file, or a damaged one; export or copy it again") from error
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"{path}: its external weights cannot be read ({_one_line(error)}); copy them beside the file"
        ) from error
    return model


def _check(path: Path, model: onnx.ModelProto) -> None:
    if not model.graph.node:
        raise ModelError(f"{path}: not an ONNX file, or a damaged one: it has no nodes; export or copy it again")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{path}: not a valid ONNX model: {_one_line(error)}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not an ONNX file, or a damaged one; export or copy it again") from error
    except (ValueError, EncodeError) as error:  # protobuf cannot serialise more than 2 GB for the checker
        raise ModelError(f"{path}: too large to check ({_one_line(error)})") from error


def _named(path: Path, model: onnx.ModelProto) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    try:
        return roles_of([output.name for output in model.graph.output])
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _check_spec(path: Path, network: Network, name: str) -> None:
    try:
        network.spec(name)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
