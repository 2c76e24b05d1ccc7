"""The page: one HTML file that opens offline.  Arranges tables, sentences and drawings; computes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from itertools import groupby
from typing import Any

from bandits.report import html
from bandits.report.figures import MISSING, cost, count, fixed, more_or_less, percent, plain, relative
from bandits.report.findings import (
    cheapest,
    honest_sentences,
    outage_sentence,
    privacy_sentence,
    replay_sentence,
)
from bandits.report.names import OURS, TRIVIAL, fault_word, mark_of
from bandits.report.palette import shade
from bandits.report.result import Figures, Result, Run, Setting, Weights
from bandits.report.table import COLUMNS, Line, lines_of

SHIPS = {
    "any": "Ship: any (compressed input or hidden state)",
    "hidden": "Ship: hidden (pixels never leave the device)",
}
RETURN_GOAL_S = 2.0  # the cloud is to be used again this soon after the worker is back


def page(result: Result, drawings: Mapping[str, str]) -> str:
    """The whole report.

    Args:
        result: what the demo measured.
        drawings: inline `<svg>` elements by name, as `bandits.report.plots.canvas.drawings` gives them; where
            one is absent, its place is left out.
    """
    parts = [
        _opening(result),
        _cards(result),
        html.facts(_setting(result.setting)),
        _accuracy_and_cost(result, drawings),
        *_policies(result, "any", drawings),
        _privacy(result),
        *_policies(result, "hidden", drawings),
        _outage(result, drawings),
        _exits(result, drawings),
        html.section("How far to believe the replay", html.paragraphs([replay_sentence(result.runs.values())])),
        _footer(result),
    ]
    return framed("Offramp demo: report", parts)


def framed(title: str, parts: Sequence[str]) -> str:
    """A page around `parts`, which are HTML already; nothing in it is fetched."""
    style = resources.files("bandits.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "</main>\n</body>\n</html>\n"
    )


def _opening(result: Result) -> str:
    setting = result.setting
    quick = "This was a quick run: few frames, so figures are noisy. Run the whole demo before you quote one."
    lead = f'<div class="lead">{html.paragraphs(setting.headline)}</div>'
    warning = f'<p class="quick">{escape(quick)}</p>' if setting.quick else ""
    return f"<header><h1>Offramp demo: report</h1>{lead}{warning}</header>"


def _setting(setting: Setting) -> dict[str, object]:
    link = f"{fixed(setting.link.rate_mbit, 1)} Mbit/s, {fixed(setting.link.delay_ms, 1)} ms one way"
    return {
        "Link, shaped in user space": link,
        "Edge slowed down": f"{fixed(setting.slowdown, 1)} times",
        "Cost of a frame": cost_formula(setting.objective),
        "Price of cost in confidence, mu": setting.objective.mu,
        "Deadline": f"{fixed(setting.deadline_ms, 0)} ms",
        "Frames per second": setting.fps,
        "Frames live": count(setting.frames_live),
        "Frames replayed": count(setting.frames_replayed),
        "Data": setting.data,
        "Device": device_line(setting.device),
    }


def device_line(device: dict[str, Any]) -> str:
    """A profile's device in a line: what it is, then what ran on it."""
    known = {key: plain(device[key]) for key in ("processor", "cores", "backend", "backend_version") if device.get(key)}
    if len(known) < 4:
        return plain(device)
    return f"{known['processor']}, {known['cores']} cores, {known['backend']} {known['backend_version']}"


def cost_formula(weights: Weights) -> str:
    """The objective as a sum, terms of weight zero left out."""
    terms = {"latency ms": weights.ms, "KB": weights.kb, "cloud ms": weights.cloud_ms, "joule": weights.joule}
    spelt = [f"{weight:g} per {unit}" for unit, weight in terms.items() if weight]
    return " + ".join(spelt) or MISSING


@dataclass(frozen=True, slots=True)
class Card:
    """A headline figure and what to hold it against."""

    what: str
    figure: str
    beside: str

    @property
    def html(self) -> str:
        """The `<li>`."""
        return (
            f'<li><span class="what">{escape(self.what)}</span><span class="figure">{escape(self.figure)}</span>'
            f'<span class="beside">{escape(self.beside)}</span></li>'
        )


def _cards(result: Result) -> str:
    cards = [*_policy_cards(result), *_outage_cards(result)]
    return f'<ul class="cards" aria-label="Headline figures">{"".join(card.html for card in cards)}</ul>'


def _policy_cards(result: Result) -> Iterator[Card]:
    other = cheapest(result.runs["any"]) if "any" in result.runs else None
    if other is None:
        return
    ours, theirs, name = other.ours, other.theirs, mark_of(other.name).label.lower()
    change = more_or_less(relative(ours.mean_cost, theirs.mean_cost))
    beside = f"{name}, the cheapest trivial policy: {cost(theirs.mean_cost)}. Ours costs {change}."
    yield Card(f"Our mean cost per frame, {other.how}", cost(ours.mean_cost), beside)
    final = result.exits[-1].accuracy if result.exits else None
    beside = f"{name}: {percent(theirs.accuracy, 2)} %; the full network: {percent(final, 2)} %"
    yield Card("Our accuracy", f"{percent(ours.accuracy, 2)} %", beside)
    beside = f"{name}: {fixed(theirs.kb_per_frame, 2)} KB"
    yield Card("We send, per frame", f"{fixed(ours.kb_per_frame, 2)} KB", beside)


def _outage_cards(result: Result) -> Iterator[Card]:
    outage = result.outage
    beside = (
        f"of {count(outage.frames)} frames; {count(outage.degraded)} degraded, {count(outage.duplicates)} duplicates"
    )
    yield Card("Deadlines missed in the outage", count(outage.deadline_misses), beside)
    waits = [fault.recovery_s for fault in outage.faults]
    known = [wait for wait in waits if wait is not None]
    beside = f"from the worker's return to the cloud's next answer; goal: under {RETURN_GOAL_S:g} s"
    if len(known) < len(waits):
        yield Card("Slowest recovery", "never", f"{len(waits) - len(known)} of {len(waits)} faults; {beside}")
    elif known:
        yield Card("Slowest recovery", f"{fixed(max(known), 2)} s", beside)


def _accuracy_and_cost(result: Result, drawings: Mapping[str, str]) -> str:
    live, whole = count(result.setting.frames_live), count(result.setting.frames_replayed)
    words = (
        f"Filled symbols ran live over {live} frames; a line joins each with its replay over the same frames. "
        f"All others are replays over {whole} frames, which are not equally hard: compare like with like."
    )
    figures = [
        html.figure(drawings[f"cost_{name}"], SHIPS[name], words) for name in result.runs if f"cost_{name}" in drawings
    ]
    says = "".join(_says(run) for name, run in result.runs.items() if name == "any")
    return html.section("Accuracy against cost", says, html.panels(figures))


def _says(run: Run) -> str:
    return f'<div class="says">{html.paragraphs(honest_sentences(run))}</div>'


def _policies(result: Result, name: str, drawings: Mapping[str, str]) -> Iterator[str]:
    for found, run in result.runs.items():
        if found == name:
            says = "" if name == "any" else _says(run)
            table = _policy_table(run, SHIPS[name])
            yield html.section(f"Policies, ship: {name}", says, table, _over_time(name, drawings))


def _over_time(name: str, drawings: Mapping[str, str]) -> str:
    captions = {
        "regret": ("Cumulative regret", "Against the best fixed arm in hindsight; flatter is better."),
        "shares": ("Share of exits over time", "Where our policy answered, per window of frames; hatched: offloaded."),
    }
    drawn = {kind: drawings.get(f"{kind}_{name}") for kind in captions}
    return html.panels(html.figure(drawing, *captions[kind]) for kind, drawing in drawn.items() if drawing)


def _policy_table(run: Run, caption: str) -> str:
    groups = groupby(lines_of(run), key=lambda line: line.name)
    grouped = [(name, list(lines)) for name, lines in groups]
    trivial = [name for name, _ in grouped if name in TRIVIAL]
    bodies = "".join(_policy_body(name, lines, trivial[-1:] == [name]) for name, lines in grouped)
    heads = '<th scope="col">policy</th><th scope="col" class="how">how</th>'
    heads += "".join(html.heading(column.heading, column.unit) for column in COLUMNS)
    note = "Trivial policies first, ours last. Latency from mean to p99; cost in units of the objective."
    return html.scrolling_table("policies", f"{caption}. {note}", f"<tr>{heads}</tr>", bodies)


def _policy_body(name: str, lines: list[Line], last_trivial: bool) -> str:
    kinds = " ".join(kind for kind, holds in (("ours", name == OURS), ("last-trivial", last_trivial)) if holds)
    label = f'<th scope="rowgroup" rowspan="{len(lines)}">{escape(mark_of(name).label)}</th>'
    rows = "".join(
        f'<tr class="{line.how}">{label if place == 0 else ""}<td class="how">{line.how}</td>{_cells(line)}</tr>'
        for place, line in enumerate(lines)
    )
    return f'<tbody class="{kinds}">{rows}</tbody>' if kinds else f"<tbody>{rows}</tbody>"


def _cells(line: Line) -> str:
    bars = {"per exit": _bar(line.figures)}
    cells = zip(COLUMNS, line.cells, strict=True)
    return "".join(f"<td>{escape(text)}{bars.get(column.heading, '')}</td>" for column, text in cells)


def _bar(figures: Figures) -> str:
    """The shares once more as a thin bar; a decoration, so hidden from screen readers."""
    if not figures.exit_share:
        return ""
    exits = len(figures.exit_share)
    widths = [(shade(number, exits), share) for number, share in enumerate(figures.exit_share, start=1)]
    local = sum(share or 0.0 for _, share in widths)
    # Some runs count offloads among the exits; then there is no room left for them.
    widths.append(("offload", min(figures.offload_share or 0.0, max(0.0, 1.0 - local))))
    inner = "".join(
        f'<i style="width:{100 * share:.1f}%;background:var(--{colour})"></i>' for colour, share in widths if share
    )
    return f'<span class="bar" aria-hidden="true">{inner}</span>'


def _privacy(result: Result) -> str:
    if result.privacy is None:
        return ""
    return html.section("What privacy costs", html.paragraphs([privacy_sentence(result.privacy)]))


def _outage(result: Result, drawings: Mapping[str, str]) -> str:
    drawn = drawings.get("outage")
    words = "Latency of every frame by who answered. Shaded: the worker was away. Marks: the cloud is used again."
    caption = "Faults of the worker, and the seconds from its return until the cloud is used again"
    heads = [("what happened", ""), ("from", "s"), ("to", "s"), ("cloud used again after", "s")]
    rows = [
        (fault_word(fault.kind), fixed(fault.from_s, 1), fixed(fault.to_s, 1), fixed(fault.recovery_s, 2))
        for fault in result.outage.faults
    ]
    return html.section(
        "Through an outage of the worker",
        html.paragraphs([outage_sentence(result.outage)]),
        html.wide_figure(drawn, "The outage, frame by frame", words) if drawn else "",
        html.facts(_outage_counts(result)),
        html.plain_table(caption, heads, rows),
    )


def _outage_counts(result: Result) -> dict[str, object]:
    outage = result.outage
    return {
        "Frames": count(outage.frames),
        "Outcomes": count(outage.outcomes),
        "Dropped unread": count(outage.dropped),
        "Deadlines missed": count(outage.deadline_misses),
        "Duplicates": count(outage.duplicates),
        "Degraded answers": count(outage.degraded),
    }


def _exits(result: Result, drawings: Mapping[str, str]) -> str:
    heads = [("exit", ""), ("accuracy", "%"), ("agrees with the last", "%"), ("device time", "ms"),
             ("hidden state", "KB"), ("error before", "%"), ("error after", "%")]  # fmt: skip
    rows = [
        (
            str(each.exit), percent(each.accuracy, 2), percent(each.agreement, 2), fixed(each.device_ms, 2),
            fixed(None if each.payload_bytes is None else each.payload_bytes / 1000.0, 2),
            percent(each.ece_before, 2), percent(each.ece_after, 2),
        )
        for each in result.exits
    ]  # fmt: skip
    caption = "Exits on frames that neither trained nor calibrated them; error: expected calibration error"
    words = "A confidence of 80 % should be right 80 times in 100; this is how far each exit is from that."
    drawn = drawings.get("calibration")
    figure = html.figure(drawn, "Calibration error per exit", words) if drawn else ""
    return html.section("Exits and their reliability", html.panels([html.plain_table(caption, heads, rows), figure]))


def _footer(result: Result) -> str:
    ids: dict[str, object] = {"bundle": result.setting.bundle_id}
    ids |= {f"policy ({name})": run.policy_id for name, run in result.runs.items() if run.policy_id}
    seconds = {name: f"{fixed(value, 1)} s" for name, value in result.seconds.items()}
    date = result.date or result.setting.date
    models: dict[str, object] = {name: run.cost_model for name, run in result.runs.items() if run.cost_model}
    return "".join([
        "<footer>",
        html.facts({**({"date": date} if date else {}), **ids, **result.versions}),
        f"<h3>Seconds per step</h3>{html.facts(seconds)}" if seconds else "",
        _details("Cost model of the replay", models) if models else "",
        "<p>Made by <code>offramp report</code> from the <code>result.json</code> and <code>series.json</code> "
        "beside this file.</p>",
        "</footer>\n",
    ])  # fmt: skip


def _details(summary: str, values: Mapping[str, object]) -> str:
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(json.dumps(values, indent=1))}</pre></details>"
