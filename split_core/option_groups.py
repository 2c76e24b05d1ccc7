"""Options of a command as dataclasses: one noun per group, flat on the command line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

Result = TypeVar("Result")


def grouped(command: Callable[..., Result]) -> Callable[..., Result]:
    """`command` as Typer shall see it: a parameter that is a dataclass gives way to the fields of that dataclass.

    Fields are annotated as parameters are: `Annotated[int, typer.Option(...)]`.  Those without a default must
    not stand in a group, and no name may occur twice.

    Raises:
        ValueError: a field without a default, or a name that occurs twice.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    flat: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        own = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        flat += _options(groups[name]) if name in groups else [own]
    if len({one.name for one in flat}) < len(flat):
        raise ValueError(f"{command.__name__}: an option occurs twice among {[one.name for one in flat]}")

    @functools.wraps(command)
    def run(**given: Any) -> Result:
        made = {
            name: group(**{one.name: given.pop(one.name) for one in fields(group)}) for name, group in groups.items()
        }
        return command(**given, **made)

    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in flat}
    return run


def _options(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    found = []
    for one in fields(group):
        if one.default is MISSING:
            raise ValueError(f"{group.__name__}.{one.name}: an option in a group needs a default")
        kind = inspect.Parameter.KEYWORD_ONLY
        found.append(inspect.Parameter(one.name, kind, default=one.default, annotation=hints[one.name]))
    return found
