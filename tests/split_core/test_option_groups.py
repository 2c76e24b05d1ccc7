from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer

from split_core.option_groups import grouped


@dataclass(frozen=True)
class Colour:
    red: Annotated[int, typer.Option(help="How red.", min=0)] = 1
    green: Annotated[bool, typer.Option("--green")] = False


@dataclass(frozen=True)
class Needy:
    blue: int


def run(command: Any, *words: str) -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(grouped(command))
    return typer.main.get_command(app).main(args=list(words), prog_name="paint", standalone_mode=False)


def test_a_group_is_flat_on_the_command_line_and_whole_inside() -> None:
    seen = []

    def paint(wall: Annotated[str, typer.Argument()], colour: Colour, coats: int = 2) -> None:
        seen.append((wall, colour, coats))

    run(paint, "north", "--red", "7", "--green", "--coats", "3")
    run(paint, "south")
    assert seen == [("north", Colour(7, True), 3), ("south", Colour(), 2)]
    assert list(inspect.signature(grouped(paint)).parameters) == ["wall", "red", "green", "coats"]


def test_an_option_that_occurs_twice_is_our_bug() -> None:
    def paint(colour: Colour, red: int = 1) -> None:
        """Never called."""

    with pytest.raises(ValueError, match="occurs twice"):
        grouped(paint)


def test_a_group_has_defaults_only() -> None:
    def paint(colour: Needy) -> None:
        """Never called."""

    with pytest.raises(ValueError, match=r"Needy\.blue"):
        grouped(paint)
