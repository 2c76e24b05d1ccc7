"""What every command that trains prints at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from split_core import bundle as bundles


def learned_from(samples: tuple[int, int], seed: int, more: str) -> str:
    """The two sentences on samples: those learned from, those measured on; `more` ends the first."""
    learned, measured = samples
    return (
        f"learned from {learned} samples, measured on {measured} others (seed {seed}){more}.\n"
        "Calibrate with samples that are in neither: the second ones chose what is kept."
    )


def show_bundle(root: Path, table: Table, told: str, facts: dict[str, Any], *, as_json: bool) -> None:
    """Print of a new bundle what was learned.

    Args:
        root: its folder.
        table: for people.
        told: for people, below the table.
        facts: for machines, who get its id and certificate, too.
        as_json: are they reading?
    """
    written = bundles.load(root)
    if as_json:
        print(json.dumps({"bundle": str(root), "id": written.id, **facts, "certificate": written.certificate}))
        return
    console = Console()
    console.print(table)
    console.print(told)
    console.print(f"wrote {root}, id {written.id[:12]}", soft_wrap=True)
