"""A network by where it is: an `.onnx` or `.pt2` file, or `package.module:factory`."""

from __future__ import annotations

from pathlib import Path

from partitioner.importers import IMPORTERS, MODULE
from partitioner.importers.request import Request
from partitioner.network import Network
from split_core.errors import ConfigError, ModelError


def read_network(location: str, request: Request | None = None) -> Network:
    """Import a network.

    Raises:
        ModelError: no importer reads such files, or the network is not good.
        ConfigError: what the user said does not fit it.
        MissingExtra: torch is not installed.
    """
    asked = request or Request()
    kind = kind_of(location)
    if kind != MODULE and (asked.args or asked.inputs):
        raise ConfigError(f"--arg and --input are for {MODULE}; {location} says itself what it takes")
    network: Network = IMPORTERS.load(kind)(location, asked)
    return network


def kind_of(location: str) -> str:
    """The importer's name.

    Raises:
        ModelError: there is none for this.
    """
    suffix = Path(location).suffix
    if suffix in IMPORTERS:
        return suffix
    module, colon, factory = location.rpartition(":")
    if colon and factory.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return MODULE
    files = ", ".join(name for name in IMPORTERS if name != MODULE)
    raise ModelError(f"{location}: expected a file ending in {files}, or package.module:factory")


def name_of(location: str) -> str:
    """What a bundle is called where nobody says: the file's name, or the factory's."""
    return Path(location).stem if kind_of(location) != MODULE else location.rpartition(":")[2]
