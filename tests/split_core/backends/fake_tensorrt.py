"""A stand-in for the module `tensorrt` in three generations: the third-party module, not our code.

Engines are the ONNX bytes, run by onnxruntime on the very addresses that they are given.  It refuses what TensorRT
refuses: a dynamic input with no profile, a shape out of it, an engine of another version or GPU, half precision
without its flag, anything on the GPU with no context current.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper

from tests.split_core.backends.fake_cuda import FakeCuda

MAGIC = b"fake engine "
TENSORRT_NAMES = {
    TensorProto.FLOAT: "FLOAT",
    TensorProto.FLOAT16: "HALF",
    TensorProto.INT8: "INT8",
    TensorProto.UINT8: "UINT8",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.BOOL: "BOOL",
    TensorProto.DOUBLE: "FLOAT",  # there is no double; parsers narrow it
}
NUMPY = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}


def names(*known: str) -> SimpleNamespace:
    """An enumeration that has these and no others."""
    return SimpleNamespace(**{name: number for number, name in enumerate(known)})


class ILogger:
    ready = False

    def __init__(self) -> None:
        self.ready = True

    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


class FakeTensorRt:
    """Called like the module; subclasses are its generations.

    Args:
        cuda: whose addresses and streams it works on.
        version: of the library, which an engine is bound to.
        seen: filled with what was asked of the builder.
    """

    __name__ = "tensorrt"
    BuilderFlag: Any
    NetworkDefinitionCreationFlag: Any
    DataType: Any = names(*NUMPY)
    ILogger = ILogger
    Logger = names("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")
    TensorIOMode = names("NONE", "INPUT", "OUTPUT")
    TensorLocation = names("DEVICE", "HOST")
    MemoryPoolType = names("WORKSPACE")

    def __init__(self, cuda: FakeCuda, version: str) -> None:
        self.cuda, self.__version__ = cuda, version
        self.builds: list[FakeConfig] = []
        self.logger: ILogger | None = None

    def use(self, logger: ILogger) -> None:
        assert logger.ready, "the base class of a logger was never initialised"
        assert self.logger in (None, logger), "TensorRT keeps its first logger, this one is never called"
        self.logger = logger

    def complain(self, message: str) -> None:
        assert self.logger
        self.logger.log(self.Logger.VERBOSE, "never mind this")
        self.logger.log(self.Logger.ERROR, message)
        self.logger.log(self.Logger.WARNING, "nor this")

    def type_of(self, element: int) -> int:
        """8.6 has no INT64: its parser makes INT32 of it."""
        name = TENSORRT_NAMES[element]
        return getattr(self.DataType, name if hasattr(self.DataType, name) else "INT32")

    def numpy_type(self, dtype: int) -> str:
        return next(NUMPY[name] for name in NUMPY if getattr(self.DataType, name, None) == dtype)

    def needs_explicit_batch(self) -> bool:
        return False

    def Builder(self, logger: ILogger) -> FakeBuilder:  # noqa: N802  (their name)
        self.use(logger)
        self.cuda.need_context()
        return FakeBuilder(self)

    def OnnxParser(self, network: FakeNetwork, logger: ILogger) -> FakeParser:  # noqa: N802
        self.use(logger)
        return FakeParser(self, network)

    def Runtime(self, logger: ILogger) -> FakeRuntime:  # noqa: N802
        self.use(logger)
        assert self.cuda.depth, "TensorRT would take the process down here"
        return FakeRuntime(self)


class Trt8(FakeTensorRt):
    """8.6, JetPack 6.0: must be told of explicit batches, has precision flags, no int64."""

    BuilderFlag = names("FP16", "INT8", "DEBUG", "TF32", "OBEY_PRECISION_CONSTRAINTS")
    NetworkDefinitionCreationFlag = names("EXPLICIT_BATCH", "EXPLICIT_PRECISION")
    DataType = names("FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8")

    def __init__(self, cuda: FakeCuda, version: str = "8.6.1") -> None:
        super().__init__(cuda, version)

    def needs_explicit_batch(self) -> bool:
        return True


class Trt10(FakeTensorRt):
    """10.3, JetPack 6.1: has the flags of both worlds."""

    BuilderFlag = names("FP16", "BF16", "INT8", "TF32", "VERSION_COMPATIBLE")
    NetworkDefinitionCreationFlag = names("EXPLICIT_BATCH", "STRONGLY_TYPED")

    def __init__(self, cuda: FakeCuda, version: str = "10.3.0") -> None:
        super().__init__(cuda, version)


class Trt11(FakeTensorRt):
    """11: types are those of the file, there is nothing to set."""

    BuilderFlag = names("DEBUG", "TF32", "VERSION_COMPATIBLE")
    NetworkDefinitionCreationFlag = names("STRONGLY_TYPED")

    def __init__(self, cuda: FakeCuda, version: str = "11.4.0.106") -> None:
        super().__init__(cuda, version)


GENERATIONS = {"8.6": Trt8, "10.3": Trt10, "11.4": Trt11}


class FakeNetwork:
    """What the parser filled."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.model = ModelProto()

    @property
    def num_inputs(self) -> int:
        return len(self.model.graph.input)

    @property
    def num_outputs(self) -> int:
        return len(self.model.graph.output)

    def get_input(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(name=tensor_names(self.model)[index])


def tensor_names(model: ModelProto) -> list[str]:
    """Names of the inputs in an engine: `__NAME` when an output has the same."""
    made = {item.name for item in model.graph.output}
    return [f"__{item.name}" if item.name in made else item.name for item in model.graph.input]


class FakeParser:
    def __init__(self, trt: FakeTensorRt, network: FakeNetwork) -> None:
        self._trt, self._network = trt, network
        self._errors: list[SimpleNamespace] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> SimpleNamespace:
        return self._errors[index]

    def parse(self, content: bytes, path: str | None = None) -> bool:
        kinds = self._trt.NetworkDefinitionCreationFlag
        batch = 1 << kinds.EXPLICIT_BATCH if hasattr(kinds, "EXPLICIT_BATCH") else 0
        if self._trt.needs_explicit_batch() and not self._network.flags & batch:
            return self._refuse(-1, "this version of the parser needs an explicit batch")
        model = onnx.load_from_string(content)
        if path:
            onnx.load_external_data_for_model(model, str(Path(path).parent))
        if any(item.external_data for item in model.graph.initializer):
            return self._refuse(-1, "Failed to open file: /piece.weights")
        for index, node in enumerate(model.graph.node):
            if not onnx.defs.has(node.op_type):
                return self._refuse(index, 'creator && "Plugin not found,\n are the plugin name and version correct?"')
        self._network.model.CopyFrom(model)
        return True

    def _refuse(self, node: int, reason: str) -> bool:
        self._errors.append(SimpleNamespace(node=lambda: node, desc=lambda: reason))
        return False


class FakeProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, name: str, low: tuple[int, ...], usual: tuple[int, ...], high: tuple[int, ...]) -> None:
        self.shapes[name] = [list(low), list(usual), list(high)]


class FakeConfig:
    """Attributes: flags set (numbers), cleared, pools, profiles."""

    def __init__(self) -> None:
        self.flags: set[int] = set()
        self.cleared: set[int] = set()
        self.pools: dict[int, int] = {}
        self.profiles: list[FakeProfile] = []
        self.network_flags = 0

    def set_flag(self, flag: int) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: int) -> None:
        self.cleared.add(flag)

    def set_memory_pool_limit(self, pool: int, size: int) -> None:
        self.pools[pool] = size

    def add_optimization_profile(self, profile: FakeProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class FakeBuilder:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt

    def create_network(self, flags: int = 0) -> FakeNetwork:
        return FakeNetwork(flags)

    def create_builder_config(self) -> FakeConfig:
        return FakeConfig()

    def create_optimization_profile(self) -> FakeProfile:
        return FakeProfile()

    def build_serialized_network(self, network: FakeNetwork, config: FakeConfig) -> bytes | None:
        config.network_flags = network.flags
        self._trt.builds.append(config)
        ranges = config.profiles[0].shapes if config.profiles else {}
        for name, item in zip(tensor_names(network.model), network.model.graph.input, strict=True):
            if any(dim.dim_param for dim in item.type.tensor_type.shape.dim) and name not in ranges:
                self._trt.complain("Network has dynamic or shape inputs, but no optimization profile has been defined")
                return None
        if self._lacks_a_flag(network.model, config):
            self._trt.complain("Network has FP16 tensors but the FP16 flag is not set")
            return None
        header = json.dumps({"for": [self._trt.__version__, self._trt.cuda.gpu_name], "ranges": ranges}).encode()
        return MAGIC + struct.pack("<I", len(header)) + header + network.model.SerializeToString()

    def _lacks_a_flag(self, model: ModelProto, config: FakeConfig) -> bool:
        half = any(item.data_type == TensorProto.FLOAT16 for item in model.graph.initializer)
        return half and getattr(self._trt.BuilderFlag, "FP16", None) not in {None, *config.flags}


class FakeRuntime:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt

    def deserialize_cuda_engine(self, engine: bytes) -> FakeEngine | None:
        self._trt.cuda.need_context()
        if not engine.startswith(MAGIC):
            self._trt.complain("Magic tag does not match")
            return None
        start = len(MAGIC) + 4
        (size,) = struct.unpack_from("<I", engine, len(MAGIC))
        header = json.loads(engine[start : start + size])
        if header["for"] != [self._trt.__version__, self._trt.cuda.gpu_name]:
            self._trt.complain("The engine plan file is not compatible with this version of TensorRT")
            return None
        return FakeEngine(self._trt, onnx.load_from_string(engine[start + size :]), header["ranges"])


class FakeEngine:
    """Lists outputs before inputs: nobody may rely on an order."""

    def __init__(self, trt: FakeTensorRt, model: ModelProto, ranges: dict[str, list[list[int]]]) -> None:
        self.trt, self.model, self.ranges = trt, model, ranges
        outputs = {item.name: item for item in model.graph.output}
        inputs = dict(zip(tensor_names(model), model.graph.input, strict=True))
        self.inputs = {name: item for name, item in inputs.items() if self._is_used(item.name)}
        self.outputs = outputs
        self.types = {name: self._type(item) for name, item in {**self.inputs, **outputs}.items()}

    def _type(self, item: onnx.ValueInfoProto) -> int:
        return self.trt.type_of(item.type.tensor_type.elem_type)

    def _is_used(self, name: str) -> bool:
        graph = self.model.graph
        return any(name in node.input for node in graph.node) or name in {item.name for item in graph.output}

    @property
    def num_io_tensors(self) -> int:
        return len(self.types)

    def get_tensor_name(self, index: int) -> str:
        return [*self.outputs, *self.inputs][index]

    def get_tensor_mode(self, name: str) -> int:
        return self.trt.TensorIOMode.INPUT if name in self.inputs else self.trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> int:
        return self.types[name]

    def get_tensor_location(self, name: str) -> int:
        on_host = name == "shape"  # by agreement with the test that needs one
        return self.trt.TensorLocation.HOST if on_host else self.trt.TensorLocation.DEVICE

    def create_execution_context(self) -> FakeExecutionContext:
        self.trt.cuda.need_context()
        return FakeExecutionContext(self)


class FakeExecutionContext:
    """Remembers shapes and addresses; reads and writes when its stream gets there."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine, self._cuda = engine, engine.trt.cuda
        # The model's own names for inputs, as `tensor_names` may have renamed them.
        self._feeds = {name: item.name for name, item in engine.inputs.items()}
        self._session = onnxruntime.InferenceSession(
            engine.model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._cuda.need_context()
        low, _, high = self._engine.ranges.get(name, [shape, shape, shape])
        if len(low) != len(shape) or not all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)):
            self._engine.trt.complain(f"Static dimension mismatch while setting input shape of {name}")
            return False
        self._shapes[name] = shape
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return name in self._engine.types and address % 16 == 0

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if any(node.op_type == "NonZero" for node in self._engine.model.graph.node):
            return (1, -1)
        zeros = {name: np.zeros(self._shapes[name], self._model_type(name)) for name in self._engine.inputs}
        return self._outputs(zeros)[name].shape

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._cuda.need_context()
        if set(self._addresses) != set(self._engine.types):
            self._engine.trt.complain("Address is not set for a tensor")
            return False
        shapes, addresses = dict(self._shapes), dict(self._addresses)
        self._cuda.streams[stream_handle].enqueue("execute", lambda: self._compute(shapes, addresses))
        return True

    def _compute(self, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int]) -> None:
        feeds = {}
        for name, shape in shapes.items():
            dtype = np.dtype(self._engine.trt.numpy_type(self._engine.types[name]))
            memory = self._cuda.memory(addresses[name], int(np.prod(shape)) * dtype.itemsize)
            feeds[name] = memory.view(dtype).reshape(shape).astype(self._model_type(name))
        for name, result in self._outputs(feeds).items():
            made = np.ascontiguousarray(result.astype(self._engine.trt.numpy_type(self._engine.types[name])))
            np.copyto(self._cuda.memory(addresses[name], made.nbytes), made.reshape(-1).view(np.uint8))

    def _outputs(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        called = {self._feeds[name]: feed for name, feed in feeds.items()}
        for item in self._engine.model.graph.input:  # onnxruntime wants those that nothing uses, too
            if item.name not in called:
                sizes = [dim.dim_value or 1 for dim in item.type.tensor_type.shape.dim]
                called[item.name] = np.zeros(sizes, helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type))
        wanted = list(self._engine.outputs)
        return dict(zip(wanted, self._session.run(wanted, called), strict=True))

    def _model_type(self, name: str) -> np.dtype:
        return helper.tensor_dtype_to_np_dtype(self._engine.inputs[name].type.tensor_type.elem_type)
