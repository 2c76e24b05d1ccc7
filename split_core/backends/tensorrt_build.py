"""From ONNX bytes to a serialised TensorRT engine.

`trt` is a module: `tensorrt` 8.6, 10 or 11, or `tensorrt_rtx`, which builds on a machine with no driver.  What it
can do is looked up on it; its version is never compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from split_core.backends.onnx_signature import Port, Signature
from split_core.backends.tensorrt_log import log_of
from split_core.errors import BackendError, ConfigError

PRECISIONS = ("fp32", "fp16")
DEFAULT_RANGES = {"batch": (1, 1, 16)}  # a worker batches up to 16 rows unless told otherwise
Range = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides over an engine, besides the model, TensorRT and the GPU.

    Attributes:
        precision: what becomes of float32, one of `PRECISIONS`: it stays so, with TF32 off, or may be computed
            in float16.  What is float16 or int8 in the model stays that.
        ranges: for every dynamic size by name: the smallest, the usual and the greatest; what is not said is
            taken from `DEFAULT_RANGES`.
        workspace_mb: memory that a layer may use while it computes; None for TensorRT's own limit.
        target: a name in `trt.ComputeCapability`, to build for a GPU that is not here; TensorRT-RTX only.
    """

    precision: str = "fp32"
    ranges: Mapping[str, Range] = field(default_factory=dict)
    workspace_mb: int | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"precision: expected one of {', '.join(PRECISIONS)}, got {self.precision!r}; "
                f"int8 is a matter of the pieces, which are made by 'offramp partition --int8'"
            )
        if not isinstance(self.ranges, Mapping):
            raise ConfigError(f"ranges: expected sizes by name, such as batch: [1, 1, 8], got {self.ranges!r}")
        for name, sizes in self.ranges.items():
            if not _is_range(sizes):
                raise ConfigError(
                    f"ranges.{name}: expected the smallest, usual and greatest size in rising order, "
                    f"such as [1, 1, 8], got {sizes!r}"
                )
        if self.workspace_mb is not None and (type(self.workspace_mb) is not int or self.workspace_mb < 1):
            raise ConfigError(f"workspace_mb: expected a whole number from 1, got {self.workspace_mb!r}")

    def bounds(self, port: Port) -> list[Range]:
        """Smallest, usual and greatest size of each axis.

        Raises:
            BackendError: a dynamic size that `ranges` does not name.
        """
        return [self._range(port, axis, size) for axis, size in enumerate(port.shape)]

    def _range(self, port: Port, axis: int, size: int | str) -> Range:
        if isinstance(size, int):
            return size, size, size
        sizes = self.ranges.get(size, DEFAULT_RANGES.get(size))
        if sizes is None:
            raise BackendError(
                f"input {port.name!r}: the size of axis {axis}, {size!r}, may change and TensorRT must know how far; "
                f"give ranges: {{{size}: [smallest, usual, greatest]}}"
            )
        low, usual, high = sizes
        return low, usual, high


def _is_range(sizes: Any) -> bool:
    whole = isinstance(sizes, (tuple, list)) and len(sizes) == 3 and all(type(size) is int for size in sizes)
    return whole and 1 <= sizes[0] <= sizes[1] <= sizes[2]


def serialised_engine(
    trt: Any, model: bytes, signature: Signature, recipe: Recipe, folder: Path | None = None
) -> bytes:
    """Parse `model` and build its engine; seconds to minutes, with the CUDA context current where there is one.

    Args:
        trt: the module.
        model: a serialised ONNX model.
        signature: its own.
        recipe: how to build.
        folder: where `signature.files` are.

    Raises:
        BackendError: the parser refuses a node, the precision is not in the model, a range is missing, or the
            builder finds no engine.
    """
    check_precision(trt, signature, recipe.precision)
    log = log_of(trt)
    log.clear()
    builder = made(trt, "builder", trt.Builder)
    # The parser refers to its bytes and its network to both: all must live until the engine is there.
    network, parser = _parsed(trt, builder, model, signature, folder)
    config = _config(trt, builder, signature, recipe)
    _add_profile(builder, network, config, signature, recipe)
    engine = builder.build_serialized_network(network, config)
    del parser
    if engine is None:
        raise BackendError(f"TensorRT cannot build {_ends(signature)}: {log.last()}")
    return bytes(engine)


def made(trt: Any, what: str, factory: Any) -> Any:
    """`factory(logger)`; its bindings answer a null pointer with a TypeError.

    Raises:
        BackendError: there is none.
    """
    try:
        return factory(log_of(trt).handle)
    except (TypeError, RuntimeError) as error:
        raise BackendError(f"TensorRT {trt.__version__} has no {what} here: {log_of(trt).last()}") from error


def check_precision(trt: Any, signature: Signature, precision: str) -> None:
    """Refuse float16 where a model would silently run in float32.

    Where `BuilderFlag` has FP16 the builder chooses it per layer.  Where it has not, networks are strongly typed: the
    types are those of the file.

    Raises:
        BackendError: the file computes in float32.
    """
    in_float32 = "float32" in signature.weights and "float16" not in signature.weights
    if precision == "fp16" and in_float32 and not hasattr(trt.BuilderFlag, "FP16"):
        raise BackendError(
            f"{_ends(signature)} is float32 and TensorRT {trt.__version__} takes fp16 from the model only; "
            f"use the pieces that 'offramp partition --fp16' makes"
        )


def _parsed(trt: Any, builder: Any, model: bytes, signature: Signature, folder: Path | None) -> tuple[Any, Any]:
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, log_of(trt).handle)
    # The parser wants the path of the model, and looks for weights beside it.
    beside = (str(folder / "model.onnx"),) if folder is not None and signature.files else ()
    if not parser.parse(model, *beside):
        raise BackendError(f"TensorRT cannot read {_ends(signature)}: {_parser_error(parser, signature)}")
    found = network.num_inputs, network.num_outputs
    if found != (len(signature.inputs), len(signature.outputs)):
        raise BackendError(f"TensorRT found {found[0]} inputs and {found[1]} outputs in {_ends(signature)}")
    return network, parser


def _network_flags(trt: Any) -> int:
    """8.6 must be told of explicit batches, later ones know nothing else; without FP16 types are always strong."""
    known, flags = trt.NetworkDefinitionCreationFlag, 0
    if hasattr(known, "EXPLICIT_BATCH"):
        flags |= 1 << int(known.EXPLICIT_BATCH)
    if hasattr(known, "STRONGLY_TYPED") and not hasattr(trt.BuilderFlag, "FP16"):
        flags |= 1 << int(known.STRONGLY_TYPED)
    return flags


def _parser_error(parser: Any, signature: Signature) -> str:
    if not parser.num_errors:
        return "it gave no reason"
    error = parser.get_error(0)
    index = error.node()
    reason = " ".join(str(error.desc()).split())[:300]
    if not 0 <= index < len(signature.nodes):
        return reason
    return f"node {index} ({signature.nodes[index]}): {reason}"


def _config(trt: Any, builder: Any, signature: Signature, recipe: Recipe) -> Any:
    config = builder.create_builder_config()
    if recipe.workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, recipe.workspace_mb << 20)
    if recipe.precision == "fp32" and hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)
    for flag in _precision_flags(signature, recipe):
        if hasattr(trt.BuilderFlag, flag):
            config.set_flag(getattr(trt.BuilderFlag, flag))
    if recipe.target is not None:
        _aim(trt, config, recipe.target)
    return config


def _precision_flags(signature: Signature, recipe: Recipe) -> list[str]:
    """Where there are flags, types that are in the file must be allowed, too."""
    asked = {
        "FP16": recipe.precision == "fp16" or "float16" in signature.weights,
        "INT8": "DequantizeLinear" in signature.operators,
    }
    return [flag for flag, wanted in asked.items() if wanted]


def _aim(trt: Any, config: Any, target: str) -> None:
    if not hasattr(config, "set_compute_capability") or not hasattr(trt.ComputeCapability, target):
        raise BackendError(f"TensorRT {trt.__version__} builds for the GPU that it runs on only, not for {target}")
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)


def _add_profile(builder: Any, network: Any, config: Any, signature: Signature, recipe: Recipe) -> None:
    profile, dynamic = builder.create_optimization_profile(), False
    for index, port in enumerate(signature.inputs):
        if any(isinstance(size, str) for size in port.shape):
            # By position: the parser renames an input that is an output as well, see `engine_name`.
            profile.set_shape(network.get_input(index).name, *zip(*recipe.bounds(port), strict=True))
            dynamic = True
    if dynamic and config.add_optimization_profile(profile) < 0:
        raise BackendError(f"TensorRT refuses the ranges of {_ends(signature)}: {dict(recipe.ranges)}")


def engine_name(signature: Signature, port: Port) -> str:
    """What the parser calls an input: `__NAME` when the model passes it on unchanged as an output NAME."""
    return f"__{port.name}" if any(port.name == made.name for made in signature.outputs) else port.name


def _ends(signature: Signature) -> str:
    """What a person knows a piece by: what goes in and what comes out."""
    names = [" + ".join(port.name for port in ports) for ports in (signature.inputs, signature.outputs)]
    return " -> ".join(names)
