"""What policies are called, in which order they are read, and how each is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from split_core.policy import DEFAULT_BANDIT

OURS = DEFAULT_BANDIT
HINDSIGHT = "best_fixed"
TRIVIAL = ("edge_only", "cloud_only", "offload_all", "random", HINDSIGHT)


@dataclass(frozen=True, slots=True)
class Mark:
    """How a policy is shown.

    Attributes:
        label: in tables and legends.
        short: where space is scarce.
        colour: a key of `palette.LIGHT`.
        marker: matplotlib's name of the symbol; no two policies share one, so colour is never alone.
        dash: matplotlib's line style.
    """

    label: str
    short: str
    colour: str
    marker: str
    dash: str | tuple[int, tuple[float, ...]] = "-"


MARKS = {
    "edge_only": Mark("Edge only", "edge only", "edge-only", "s", (0, (6, 2))),
    "cloud_only": Mark("Cloud only", "cloud only", "cloud-only", "^", (0, (4, 1.5, 1, 1.5))),
    "offload_all": Mark("Offload all after segment 1", "offload all", "offload-all", "<", (0, (3, 1, 1, 1))),
    "random": Mark("Random arm", "random", "random", "v", (0, (1, 1.5))),
    HINDSIGHT: Mark("Best fixed arm (hindsight)", "best fixed", "best-fixed", "D", (0, (8, 2, 1, 2))),
    "splitee": Mark("SplitEE", "SplitEE", "splitee", "o", (0, (3, 1.5))),
    "splitee_s": Mark("SplitEE-S", "SplitEE-S", "splitee-s", "p", (0, (5, 1, 1, 1, 1, 1))),
    "ucbee": Mark("UCBEE", "UCBEE", "ucbee", "h", (0, (2, 1))),
    "grid": Mark("Offramp: split x threshold", "grid", "grid", "P", (0, (7, 1))),
    OURS: Mark("Offramp: sequential (default)", "Offramp", "ours", "*"),
}


def mark_of(name: str) -> Mark:
    """How `name` is shown; a policy unknown here is shown by its own name."""
    return MARKS.get(name) or Mark(name, name, "muted", "X", (0, (1, 3)))


def in_reading_order(names: Iterable[str]) -> list[str]:
    """Trivial policies first, then published ones, then any others, ours last."""
    order = [name for name in MARKS if name != OURS]
    places = {name: place for place, name in enumerate(order)} | {OURS: len(order) + 1}
    return sorted(dict.fromkeys(names), key=lambda name: places.get(name, len(order)))


FAULTS = {"kill": "killed", "freeze": "frozen", "black_hole": "black hole"}


def fault_word(kind: str) -> str:
    """What happened to the worker, in a word or two."""
    return FAULTS.get(kind, kind.replace("_", " "))
