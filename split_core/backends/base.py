"""What an inference engine must do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from split_core.tensors import Array


class Session(Protocol):
    """One loaded piece.  Not shared between threads unless the backend says so."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        """Run once.

        Args:
            feeds: one array per input, in the order of `inputs`; read-only arrays are fine.

        Returns:
            One array per output, in the order of `outputs`; the caller owns them.

        Raises:
            BackendError: the engine refuses these arrays.
        """


class Backend(Protocol):
    """Loads pieces.

    Attributes:
        name, version: of the engine.
        shares_sessions: may several threads run one session at once?
    """

    name: str
    version: str
    shares_sessions: bool

    def load(self, model: bytes, *, threads: int, folder: Path | None = None) -> Session:
        """A session for the ONNX bytes of one piece.

        Args:
            model: a serialised ONNX model.
            threads: intra-op threads; at least 1.
            folder: where the weights are that the model keeps in files of their own; None when it has none.

        Raises:
            BackendError: the engine cannot load it.
        """
