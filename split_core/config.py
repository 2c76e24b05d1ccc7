"""Files that people write: YAML, checked by pydantic, with errors of one line that say what to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from split_core.errors import ConfigError, reason
from split_core.registry import suggestion


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


def first_error(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first thing wrong, in one line: `link.timout_ms: unknown key; did you mean 'timeout_ms'?`."""
    details = error.errors(include_url=False)
    first = details[0]
    name = ".".join(str(part) for part in first["loc"])
    where, rest = f"{name}: " if name else "", f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, first["loc"][:-1]) if model else []
        return f"{where}unknown key{suggestion(str(first['loc'][-1]), known)}"
    if first["type"] == "json_invalid":
        return "not valid JSON"
    if first["type"] == "missing":
        return f"{where}expected a value, there is none{rest}"
    if first["type"] == "model_type":
        return f"{where}expected a mapping of settings, got {type(first['input']).__name__}"
    message = first["msg"].removeprefix("Value error, ")
    # Of a whole section, nobody wants to read what was given.
    given = "" if isinstance(first["input"], dict) else f", got {str(first['input'])[:80]!r}"
    return f"{where}{message}{given}{rest}"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the section at `location`; empty when it cannot be told."""
    models = [model]
    for part in location:
        fields = [section.model_fields.get(str(part)) for section in models]
        found = [section for field in fields if field for section in _sections_in(field.annotation)]
        if not found and len(models) == 1:
            return []
        models = found or models  # of several sections, the tag of one follows: its keys are among theirs
    return [name for section in models for name in section.model_fields]


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation names, also inside unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in get_args(annotation) for section in _sections_in(inner)]


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
