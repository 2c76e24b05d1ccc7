"""What is wrong with a file that people write, in one line: where, what was expected, what came, what to do.

Pydantic finds it.  Its own words name types of its own, and parts of unions that nobody wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo

from split_core.registry import suggestion

WHOLE, NUMBER, TEXT, LIST = "a whole number", "a number", "text", "a list"
# Kinds of pydantic's errors to what was expected; what is in braces comes with the error.
EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), TEXT),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"), LIST),
    **dict.fromkeys(("model_type", "model_attributes_type", "dataclass_type"), "a mapping of settings"),
    **dict.fromkeys(("dict_type", "mapping_type"), "a mapping"),
    **dict.fromkeys(("literal_error", "enum"), "{expected}"),
    "union_tag_invalid": "{expected_tags}",
    "path_type": "a path",
    "bytes_type": "bytes",
    "invalid_key": "text as a key",
    "none_required": "nothing",
    "finite_number": "a finite number",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text of the form {pattern}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
}
# Limits, by the names that pydantic gives them both in a field and in an error.
LIMITS = {"gt": "above {:g}", "ge": "of at least {:g}", "lt": "below {:g}", "le": "of at most {:g}"}
LIMITED = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
LONGEST = 80  # characters of what came


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a document.

    Attributes:
        name: as a person writes it: `link.timeout_ms`.
        sections: that may stand there.
        field: the setting that it is, or None.
    """

    name: str
    sections: tuple[type[BaseModel], ...] = ()
    field: FieldInfo | None = None


def first_error(error: ValidationError, model: Any = None) -> str:
    """The first thing wrong, in one line: `link.timout_ms: unknown key; did you mean 'timeout_ms'?`.

    Args:
        error: what pydantic found.
        model: what it was to be, a class or an annotation; tells keys from parts of unions.
    """
    details = error.errors(include_url=False)
    places = [_place(model, one["loc"], one["type"]) for one in details]
    place = places[0]
    # A list whose only item is wrong is too short as well.
    others = {other.name for other in places if not f"{place.name}.".startswith(f"{other.name}.")}
    alike = [one for one, other in zip(details, places, strict=True) if other.name == place.name]
    what = _what(alike, place) + (f" (and {len(others)} more)" if others else "")
    return f"{place.name}: {what}" if place.name else what


def _what(alike: list[Any], place: Place) -> str:
    """What is wrong at one place; of a union there is one error for each of its parts."""
    first = alike[0]
    if first["type"] == "json_invalid":
        return "not valid JSON"
    if first["type"] == "extra_forbidden":
        known = [name for section in place.sections for name in section.model_fields]
        return f"unknown key{suggestion(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        return "expected a value, there is none"
    if first["type"] in ("value_error", "assertion_error"):
        return _own(first)
    wanted = " or ".join(dict.fromkeys(_expected(one, place) for one in alike))
    return f"expected {wanted}, got {_shown(first['input'])}{_default(place.field)}"


def _own(detail: Any) -> str:
    """A rule of ours says itself what it expects, and of a whole section nobody wants to read what was given."""
    message = " ".join(str(detail["msg"]).split(", ", 1)[-1].split())
    given = "" if isinstance(detail["input"], Mapping) or " got " in message else f", got {_shown(detail['input'])}"
    return message + given


def _expected(detail: Any, place: Place) -> str:
    kind, facts = detail["type"], detail.get("ctx", {})
    if kind in LIMITED:
        name = LIMITED[kind]
        whole = place.field is not None and place.field.annotation is int
        return f"{WHOLE if whole else NUMBER} {_limits(place.field) or LIMITS[name].format(facts[name])}"
    if kind in EXPECTED:
        told = EXPECTED[kind].format(**facts)
        return f"{told} {_limits(place.field)}".strip() if told in (WHOLE, NUMBER) else told
    return str(detail["msg"]).removeprefix("Input should be ").replace("\n", " ")


def _limits(field: FieldInfo | None) -> str:
    """All limits of a field in words; empty when it has none."""
    said = field.metadata if field else ()
    return " and ".join(
        words.format(getattr(one, name)) for one in said for name, words in LIMITS.items() if hasattr(one, name)
    )


def _default(field: FieldInfo | None) -> str:
    """What to do where a setting need not be given."""
    usual = field.default if field else None
    return f"; leave it out for {usual!r}" if isinstance(usual, (bool, int, float, str)) and usual != "" else ""


def _shown(value: Any) -> str:
    """What came, in so many characters; of a whole section nobody wants to read all."""
    if value is None or isinstance(value, Mapping):
        return "nothing" if value is None else "a mapping"
    return repr(value)[:LONGEST]


def _place(model: Any, location: tuple[int | str, ...], kind: str) -> Place:
    """Where `location` is, without the parts of unions in it; all of it, when there is no model."""
    if model is None:
        return Place(".".join(map(str, location)))
    here, field, names = [*_choices(model)], None, []
    inside, key = (location[:-1], location[-1:]) if kind == "extra_forbidden" else (location, ())
    for part in inside:
        chosen = [one for tag, one in here if tag == part]
        found = [] if chosen else [step for _, one in here for step in _steps(one, part)]
        if chosen:
            here = [*_all_choices(chosen)]
        elif found:
            names.append(part)
            field = next((one for one in found if isinstance(one, FieldInfo)), None)
            here = [*_all_choices(one.annotation if isinstance(one, FieldInfo) else one for one in found)]
    sections = tuple(one for _, one in here if isinstance(one, type) and issubclass(one, BaseModel))
    return Place(".".join(map(str, (*names, *key))), sections, field)


def _steps(annotation: Any, part: int | str) -> list[Any]:
    """What `part` leads to from there: fields or annotations; none, where it is no step."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [one for name, one in annotation.model_fields.items() if part in (name, one.alias)]
    if is_dataclass(annotation):
        return [Any] if any(part == one.name for one in fields(annotation)) else []
    arguments = [one for one in get_args(annotation) if one is not Ellipsis]
    container = get_origin(annotation)
    if isinstance(container, type) and issubclass(container, Mapping):
        return arguments[1:] if part != "[key]" else []
    return arguments if isinstance(part, int) else []


def _choices(annotation: Any, tag: str = "") -> Iterable[tuple[str, Any]]:
    """All that an annotation allows, each with its tag, if it has one."""
    if get_origin(annotation) is Annotated:
        inner, *said = get_args(annotation)
        tags = [one.tag for one in said if isinstance(one, Tag)]
        return _choices(inner, *tags)
    if get_origin(annotation) in (Union, UnionType):
        return _all_choices(get_args(annotation))
    return [(tag, annotation)]


def _all_choices(annotations: Iterable[Any]) -> Iterable[tuple[str, Any]]:
    return [choice for one in annotations for choice in _choices(one)]
