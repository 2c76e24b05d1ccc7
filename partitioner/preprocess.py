"""What `offramp partition --config` may say under `preprocess`: it, or where it is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from partitioner.huggingface import read_preprocess
from split_core.config import Section
from split_core.errors import ConfigError
from split_core.preprocess import Preprocess, kind_of
from split_core.tokeniser import Tokeniser


class Elsewhere(Section):
    """`{from: preprocessor_config.json}`: a Hugging Face file, relative to the config's folder."""

    file: str = Field(alias="from", min_length=1)


def _kind_of(document: Any) -> str:
    is_elsewhere = "from" in document if isinstance(document, dict) else isinstance(document, Elsewhere)
    return "elsewhere" if is_elsewhere else kind_of(document)


Said = Annotated[
    Annotated[Preprocess, Tag("image")] | Annotated[Tokeniser, Tag("text")] | Annotated[Elsewhere, Tag("elsewhere")],
    Discriminator(_kind_of),
]


def tokeniser_of(said: Preprocess | Tokeniser | Elsewhere | None, folder: Path) -> bytes | None:
    """The `tokenizer.json` that is named relative to `folder`; None where there is none."""
    path = folder / said.tokeniser if isinstance(said, Tokeniser) else None
    return path.read_bytes() if path is not None and path.is_file() else None


def settled(said: Preprocess | Tokeniser | Elsewhere | None, folder: Path) -> Preprocess | Tokeniser | None:
    """What the manifest will say.

    A Hugging Face file is read; a tokeniser that names a file in `folder` gets its hash.

    Args:
        said: under `preprocess` in the config.
        folder: the config's.

    Raises:
        ConfigError: a file is missing or not as it should be.
        DataError: a tokeniser's file has another hash than the config says.
    """
    if isinstance(said, Elsewhere):
        return read_preprocess(folder / said.file)
    if isinstance(said, Tokeniser):
        path = folder / said.tokeniser
        if path.is_file():
            return said.sealed(path)
        if path.suffix == ".json":
            raise ConfigError(f"preprocess.tokeniser: {path} is no file; give the path of a tokenizer.json, or a name")
    return said
