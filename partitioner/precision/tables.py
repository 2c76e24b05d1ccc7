"""What `offramp partition` and `offramp verify` print of other precisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table


def precision_table(name: str, entry: Mapping[str, Any]) -> Table:
    """One precision beside the pieces as exported, exit by exit."""
    labelled = any(item["accuracy"] is not None for item in entry["exits"])
    table = Table("", title=f"precision {name}, for {entry['for_backend']}", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("labels agree", *(("right as exported", f"right in {name}") if labelled else ())):
        table.add_column(title, justify="right")
    for title in ("greatest difference", "cosine"):
        table.add_column(title, justify="right")
    for cut in entry["cuts"]:
        table.add_row(f"cut {cut['cut']}", "", *(("", "") if labelled else ()), *_gap(cut))
    for item in entry["exits"]:
        rights = (_share(item["accuracy_exported"]), _share(item["accuracy"])) if labelled else ()
        agreement = _share(item["label_agreement"]) if item["trained"] else "untrained"
        table.add_row(f"exit {item['exit']}", agreement, *rights, *_gap(item))
    for item in entry["outputs"]:
        table.add_row(item["tensor"], "", *(("", "") if labelled else ()), *_gap(item))
    table.caption = "; ".join(_facts(entry))
    table.caption_justify = "left"
    return table


def _facts(entry: Mapping[str, Any]) -> Iterator[str]:
    apart = "" if entry.get("measured_apart", True) else ", the same that calibrated it"
    yield f"{entry['samples']} {'samples' if entry['real_samples'] else 'random inputs'}{apart}"
    size, exported = entry["bytes"] / 1000, entry["bytes_exported"] / 1000
    yield f"{size:.0f} KB instead of {exported:.0f} KB"
    took, before = entry["median_ms"], entry["median_ms_exported"]
    yield f"{took:.2f} ms instead of {before:.2f} ms a sample here"
    if entry["kept_as_exported"]:
        yield f"as exported: {_kept(entry['kept_as_exported'])}"
    if not entry["engine_run"]:
        yield f"measured with {entry['measured_with']}; no {entry['for_backend']} engine was run"


def _kept(files: list[str]) -> str:
    """All heads in one word, other files by name."""
    others = [file for file in files if not file.startswith("heads/")]
    return ", ".join(["heads"] * (len(others) < len(files)) + others)


def _gap(item: Mapping[str, Any]) -> tuple[str, str]:
    difference, cosine = item["max_difference"], item["cosine"]
    return "not a number" if difference is None else f"{difference:.1e}", "" if cosine is None else f"{cosine:.4f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
