"""`module:factory` to a torch module, in evaluation mode and float32.  Runs the user's code."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from partitioner.importers.foreign import ForeignError, foreign
from split_core.errors import ConfigError, ModelError
from split_core.registry import suggestion

SEED = 0


def built(location: str, args: Mapping[str, str]) -> tuple[nn.Module, Any]:
    """Call the factory at `location`; the module that it makes and its example inputs, or None.

    Torch is seeded first, so that random weights are the same ones each time.  Nothing in it wants gradients.

    Args:
        location: `package.module:factory`; modules of the current directory are found.
        args: keyword arguments of the factory; each value is read as YAML (`10`, `true`, `tiny`).

    Raises:
        ConfigError: no such module or attribute, or arguments that the factory does not take.
        ModelError: the factory raises, or gives something else than a module.
    """
    network, examples = _made(location, args, SEED)
    return _ready(location, network), examples


def built_to_train(location: str, args: Mapping[str, str], seed: int) -> tuple[nn.Module, Any]:
    """As `built`, with random weights of this seed; what the factory left trainable is so."""
    network, examples = _made(location, args, seed)
    frozen = {id(one) for one in network.parameters() if not one.requires_grad}
    ready = _ready(location, network)
    for one in ready.parameters():
        one.requires_grad_(id(one) not in frozen)
    return ready, examples


def _made(location: str, args: Mapping[str, str], seed: int) -> tuple[nn.Module, Any]:
    with _current_directory_importable():
        torch.manual_seed(seed)
        factory = _located(location)
        if isinstance(factory, nn.Module) and not args:
            return factory, None
        if not callable(factory):
            raise ConfigError(f"{location}: expected a function or class, got {type(factory).__name__}")
        made = _called(location, factory, {key: _value(key, text) for key, text in args.items()}, seed)
    network, examples = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"{location}: expected a torch.nn.Module or (module, example_inputs), got {type(network).__name__}"
        )
    return network, examples


def _ready(location: str, network: nn.Module) -> nn.Module:
    """In evaluation mode, float32, on the CPU, without gradients; decoders without their cache."""
    try:
        network = foreign(lambda: network.eval().to("cpu").float().requires_grad_(False))
    except ForeignError as error:
        raise ModelError(f"{location}: cannot be put in evaluation mode as float32: {error}") from error
    config = getattr(network, "config", None)
    for switch in ("use_cache", "output_attentions", "output_hidden_states"):
        if getattr(config, switch, False):
            setattr(config, switch, False)
    choose_experts = getattr(network, "set_experts_implementation", None)
    if choose_experts is not None:
        with contextlib.suppress(ForeignError):  # a network without experts refuses; the default has no ONNX operator
            foreign(lambda: choose_experts("batched_mm"))
    return network


def _located(location: str) -> Any:
    module_name, _, attribute = location.partition(":")
    if not module_name or not attribute or not module_name.replace(".", "").isidentifier():
        raise ConfigError(f"{location!r}: expected module:factory, for example my_package.networks:make")
    thing: Any = _imported(location, module_name)
    for name in attribute.split("."):
        thing = _attribute(location, thing, name)
    return thing


def _attribute(location: str, thing: Any, name: str) -> Any:
    try:
        return foreign(lambda: getattr(thing, name))
    except ForeignError as error:
        if not isinstance(error.__cause__, AttributeError):  # a module may import on demand
            raise ModelError(f"{location}: {name} cannot be imported: {error}") from error
        owner = getattr(thing, "__name__", type(thing).__name__)
        raise ConfigError(f"{location}: {owner} has no {name!r}{suggestion(name, dir(thing))}") from error


def _imported(location: str, module_name: str) -> Any:
    try:
        return foreign(lambda: importlib.import_module(module_name))
    except ForeignError as error:
        missing = getattr(error.__cause__, "name", None)
        if not isinstance(error.__cause__, ModuleNotFoundError) or missing is None:
            raise ModelError(f"{location}: importing {module_name} failed: {error}") from error
        if module_name == missing or module_name.startswith(f"{missing}."):
            near = _near_module(module_name)
            raise ConfigError(
                f"{location}: no module {missing!r} in the current directory or among the installed packages{near}"
            ) from error
        raise ConfigError(f"{location}: {module_name} needs the module {missing!r}; install it first") from error


def _near_module(name: str) -> str:
    """A Python file beside where the module would be, of a similar name."""
    package, _, last = name.rpartition(".")
    folder = Path(*package.split("."))
    files = [entry.stem for entry in folder.glob("*.py")] if folder.is_dir() else []
    near = difflib.get_close_matches(last, files, n=1)
    return f"; did you mean {f'{package}.{near[0]}'.lstrip('.')!r}?" if near else ""


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--arg {key}={text}: not a YAML value; quote it") from error


def _called(location: str, factory: Callable[..., Any], args: Mapping[str, Any], seed: int) -> Any:
    _check_arguments(location, factory, args)
    torch.manual_seed(seed)  # again: importing the module may have drawn numbers, and only the first time
    try:
        return foreign(lambda: factory(**args))
    except ForeignError as error:
        raise ModelError(f"{location}: the factory failed: {error}") from error


def _check_arguments(location: str, factory: Callable[..., Any], args: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(factory)
    except ValueError:  # a class written in C tells no signature; calling it will
        return
    takes = [
        name for name, item in signature.parameters.items() if item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
    ]
    open_ended = any(item.kind is item.VAR_KEYWORD for item in signature.parameters.values())
    for name in args:
        if name not in takes and not open_ended:
            has = ", ".join(takes) or "none"
            raise ConfigError(f"{location}: takes no argument {name!r}{suggestion(name, takes)}; it has: {has}")
    try:
        signature.bind(**args)
    except TypeError as error:
        raise ConfigError(f"{location}: {error}; give it with --arg NAME=VALUE") from error


@contextlib.contextmanager
def _current_directory_importable() -> Iterator[None]:
    here, before = os.getcwd(), list(sys.path)
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path[:] = before
