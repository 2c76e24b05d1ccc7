"""Names to things, imported on demand, so that listing choices costs nothing."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from split_core.errors import ConfigError, MissingExtra

OUR_PACKAGES = frozenset({"split_core", "bandits", "edge_runtime", "cloud_runtime", "partitioner"})


class Registry(Mapping[str, str]):
    """A table of `name: "module:attribute"` or `name: "module:attribute extra"`.

    Args:
        kind: what the entries are, for messages: "codec".
        entries: the table; `extra` is the pip extra that brings the libraries of the module.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> str:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, name: str) -> Any:
        """Import and return what `name` stands for.

        Raises:
            ConfigError: no such name; the message suggests the nearest and lists all.
            MissingExtra: a library that the module needs is not installed.
        """
        if name not in self._entries:
            raise ConfigError(f"no {self.kind} named {name!r}{suggestion(name, self)}; there are: {', '.join(self)}")
        location, _, extra = self._entries[name].partition(" ")
        return resolve(location, f"{self.kind} {name!r}", extra)


def suggestion(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """`"; did you mean 'x'?"` when something near `name` is known, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def resolve(location: str, purpose: str, extra: str = "") -> Any:
    """The attribute at `"module:attribute"`.

    Raises:
        MissingExtra: a third-party module is absent; names `extra`.
    """
    module, _, attribute = location.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        if missing in OUR_PACKAGES:
            raise
        package = f"offramp[{extra}]" if extra else "offramp"
        raise MissingExtra(f"{purpose} needs the module {missing!r}; run: pip install '{package}'") from error
