"""Running somebody else's Python: a user's factory, their `forward`, an exporter.  Quiet, and one line on failure."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LONGEST_LINE = 160
# Frames here are not the place in the user's code that a person wants to read about.
_LIBRARIES = ("torch", "onnxscript", "onnx_ir", "onnx", "numpy", "sympy")
_OURS = Path(__file__).parent.parent
# torch.export names the axis that it cannot leave open far behind its first line.
_FIXED_AXIS = re.compile(r"inferred a static shape of (\d+) for dimension (\S+)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class ForeignError(Exception):
    """Code that is not ours failed.

    Attributes:
        line: what it said, in one line.
        place: `file.py:12 in forward`, the innermost frame outside torch; "" when unknown.
        kind: name of the exception's class at the root of the chain.
    """

    def __init__(self, error: BaseException) -> None:
        root = _root(error)
        self.kind = type(root).__name__
        self.line = one_line(root)
        self.place = _place(error)
        super().__init__(self.line)

    def __str__(self) -> str:
        return f"{self.line} (at {self.place})" if self.place else self.line


def foreign(call: Callable[[], T]) -> T:
    """Call, with everything that it prints, warns and logs kept from the terminal.

    Raises:
        ForeignError: whatever it raised, `SystemExit` included; an interrupt passes.
    """
    try:
        with _silence():
            return call()
    except (Exception, SystemExit) as error:  # a user's module and torch's exporters may raise any class there is
        raise ForeignError(error) from error


def one_line(error: BaseException) -> str:
    """The class and the first sentence of what an exception says."""
    if fixed := _FIXED_AXIS.search(str(error)):
        return f"{type(error).__name__}: it fixes {fixed[2].rstrip('.')} at {fixed[1]}"
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines()]
    said = next((line for line in lines if re.search(r"\w", line)), "")
    if said.endswith(":") and len(lines) > 1:
        said = " ".join(line for line in lines if line)
    said = f"{type(error).__name__}: {said}".rstrip(": ")
    return said if len(said) <= LONGEST_LINE else f"{said[:LONGEST_LINE]}..."


@contextlib.contextmanager
def no_native_output() -> Iterator[None]:
    """Keep what C++ writes to standard output off the terminal: TorchScript prints the whole graph when it fails."""
    if sys.__stdout__ is not None:
        sys.__stdout__.flush()
    kept, sink = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(sink)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _place(error: BaseException) -> str:
    """Innermost frame of the chain that is neither a library's nor ours."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    for link in reversed(chain):
        for frame in reversed(traceback.extract_tb(link.__traceback__)):
            if frame.filename.startswith("<") or _is_library(Path(frame.filename)):
                continue
            return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
    return ""


def _is_library(path: Path) -> bool:
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1] in _LIBRARIES
    return path.is_relative_to(_OURS) or path.is_relative_to(Path(sys.base_prefix) / "lib")
