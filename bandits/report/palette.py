"""The colours of the report.

Plots are drawn in these light colours; in the page each becomes the variable of the same name in
`style.css`, which has a dark twin.  Policies follow Okabe and Ito's palette, which colour-blind readers can
tell apart; a symbol or a dash always says the same as the colour.
"""

from __future__ import annotations

LIGHT = {
    "ink": "#1b2330",
    "muted": "#5b6675",
    "rule": "#d8dee6",
    "card": "#ffffff",
    "ours": "#d55e00",
    "edge-only": "#3c4654",
    "cloud-only": "#0072b2",
    "random": "#8b95a3",
    "best-fixed": "#b07d00",
    "splitee": "#009e73",
    "splitee-s": "#cc79a7",
    "ucbee": "#45a5dc",
    "grid": "#a3231f",
    "offload-all": "#6a4c93",
    "alert": "#b3261e",
    "fault": "#f3d9d2",
    "shade-1": "#dcebf5",
    "shade-2": "#b5d4e9",
    "shade-3": "#85b8da",
    "shade-4": "#5499c6",
    "shade-5": "#2d79ae",
    "shade-6": "#125a8c",
    "offload": "#e69f00",
}


def shade(exit_number: int, exits: int) -> str:
    """Colour name of local exit 1..`exits`, light to dark with depth."""
    step = 1 if exits == 1 else 1 + round(5 * (exit_number - 1) / (exits - 1))
    return f"shade-{step}"
