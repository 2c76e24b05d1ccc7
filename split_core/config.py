"""Files that people write: YAML, checked by pydantic, with errors of one line that say what to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from split_core.errors import ConfigError, reason
from split_core.mistakes import first_error as first_error


class Section(BaseModel):
    """Base of every section of a configuration file: strict, frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model], overrides: Iterable[str] = ()) -> Model:
    """Read a YAML file as `model`.

    Args:
        path: the file.
        model: the pydantic class it must fit.
        overrides: `"link.timeout_ms=150"` items that replace or add values.

    Raises:
        ConfigError: unreadable, no YAML, an unknown key (with the nearest known one), a bad value.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a YAML file of settings") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({reason(error)}); expected a file of settings") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(document).__name__}")
    for item in overrides:
        _override(document, item)
    return parsed(document, model, str(path))


def parsed(document: Any, model: type[Model], where: str) -> Model:
    """`document` as `model`; `where` opens the error message.

    Raises:
        ConfigError: as `load`.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_error(error, model)}") from error


def _override(document: dict[str, Any], item: str) -> None:
    key, equals, value = item.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {item!r}: expected key=value, for example link.deadline_ms=150")
    *sections, last = key.split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise ConfigError(f"--set {item!r}: {section!r} is a value, not a section")
    try:
        document[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {item!r}: {value!r} is not a YAML value") from error
