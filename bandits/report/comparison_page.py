"""`offramp replay --html`: the comparison as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bandits.report import html
from bandits.report.figures import MISSING, cost, count, fixed, percent
from bandits.report.names import mark_of
from bandits.report.page import framed

HEADS = (
    ("policy", ""), ("frames", ""), ("accuracy", "%"), ("agrees", "%"), ("cost", ""), ("loss", ""), ("loss", "x best"),
    ("regret", ""), ("regret", "5..95 %"), ("oracle regret", "per sample"), ("shipped", "%"), ("settled", "frame"),
    ("time", "us"),
)  # fmt: skip
WORDS = {
    "measured": "Costs as measured: milliseconds, bytes and cloud time of a real device and link.",
    "published": "The papers' constant costs: every layer the same, every offload the same, the cloud free.",
}
READING = (
    "Regret is against the best fixed arm of the whole stream, chosen when it had ended, in expected reward; a policy "
    "that adapts may have less than none. Oracle regret is against the best path of every single frame, which nobody "
    "can know, and grows in a straight line for everybody.",
    "Loss is the cost and 1 for every answer that is not the full network's; x best is over the mean loss of the fixed "
    "arm that loses least. Settled is the frame from which on 95 % of all plays are of one arm.",
)


def page(
    title: str, words: Sequence[str], answers: Mapping[str, Mapping[str, Any]], drawings: Mapping[str, str]
) -> str:
    """The whole page.

    Args:
        title: of it.
        words: what was replayed, a sentence each.
        answers: by cost model, of `bandits.answers.answer`.
        drawings: inline `<svg>` elements by cost model.
    """
    parts = [f'<header><h1>{escape(title)}</h1><div class="lead">{html.paragraphs(words)}</div></header>']
    for name, answer in answers.items():
        table = html.plain_table(f"Policies, {name} costs", HEADS, [_cells(row) for row in answer["rows"]])
        figure = html.wide_figure(drawings[name], "Regret and loss", "Bands are 5 to 95 % over the seeds.")
        plays = html.plain_table("Most played arms, split @ threshold", (("policy", ""), ("arms", "")), _plays(answer))
        parts.append(html.section(f"{name.capitalize()} costs", html.paragraphs([WORDS[name]]), figure, table, plays))
    parts.append(html.section("How to read it", html.paragraphs(READING)))
    return framed(title, parts)


def _cells(row: Mapping[str, Any]) -> list[str]:
    band = row.get("band", {}).get("regret")
    return [
        mark_of(row["name"]).label + (" (live)" if row["live"] else ""),
        count(row["frames"]),
        percent(row["accuracy"], 2),
        percent(row["agreement"], 2),
        cost(row["mean_cost"]),
        fixed(row["mean_loss"], 4),
        fixed(row["loss_ratio"], 3),
        fixed(row["regret"], 1),
        MISSING if band is None else f"{fixed(band[0], 1)} .. {fixed(band[1], 1)}",
        fixed(row["oracle_regret"], 1),
        percent(row["offload_share"]),
        count(row["settled_frame"]),
        fixed(row.get("us_per_frame"), 1),
    ]


def _plays(answer: Mapping[str, Any]) -> list[list[str]]:
    return [[mark_of(row["name"]).label, most_played(row, 6)] for row in answer["rows"] if row["arm_share"]]


def most_played(row: Mapping[str, Any], arms: int) -> str:
    """`1@0.85 61 %, 2@0.7 20 %`: split, threshold and share of the arms that were played most."""
    shares = sorted(row["arm_share"].items(), key=lambda item: -item[1])[:arms]
    return ", ".join(f"{arm} {percent(share, 0)} %" for arm, share in shares)
