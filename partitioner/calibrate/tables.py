"""What `offramp calibrate` and `offramp trace` print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from partitioner.calibrate.codecs import CodecTable
from partitioner.calibrate.fit import Fit
from partitioner.calibrate.segments import Segmented
from partitioner.calibrate.slices import Slice
from split_core.evidence import Evidence
from split_core.policy import CodecSection
from split_core.policy_guard import AbstainSection, SegmentsSection
from split_core.traces import Traces


def show(console: Console, result: Fit, table: CodecTable, found: list[Slice], out: Path) -> None:
    """A fit on the terminal; `found` are the slices asked for."""
    console.print(exits_table(result))
    console.print(codecs_table(table, result.policy.codecs))
    made = result.policy
    console.print(
        f"Maps: fitted on one half of {made.evidence.samples} samples; ECE (calibration error): on the other.\n"
        f"agrees, answers: thresholds from a half of that other half, on the rest, every sample at every exit.\n"
        f"certified: from this confidence on an exit agrees with the full network at least "
        f"{made.evidence.target:.1%} of the time; false with probability {made.evidence.risk:g} per exit, on such data."
    )
    if made.evidence.promises:
        console.print(promises_table(made.evidence))
    if made.guard and made.guard.abstain:
        console.print(abstain_table(made.guard.abstain))
    if made.segments and result.kept:
        console.print(segments_table(made.segments, result.kept.rule))
    thresholds = made.bandit.params.get("thresholds") or made.bandit.params.get("per_exit")
    console.print(f"bandit {made.bandit.name}" + (f", thresholds {thresholds}" if thresholds else ""))
    console.print(f"wrote {out}, id {made.id[:12]}", soft_wrap=True)
    if found:
        console.print(slices_table(found))


def exits_table(result: Fit) -> Table:
    """Per exit: accuracy, calibration, and what its certified threshold is worth on held-out samples."""
    table = Table("exit", title="exits", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("right", "temp.", "map", "raw ECE", "ECE", "certified", "agrees", "answers"):
        table.add_column(title, justify="right")
    for k, (section, held_out) in enumerate(zip(result.policy.exits, result.held_out, strict=True), 1):
        table.add_row(
            str(k),
            f"{section.accuracy:.2%}",
            f"{section.temperature:.3f}",
            f"{len(section.scores)} knots" if section.scores else "none",
            f"{held_out.ece_before:.4f}",
            f"{held_out.ece_after:.4f}",
            "never" if section.certified is None else f"{section.certified:.3f}",
            "" if held_out.agreement is None else f"{held_out.agreement:.1%}",
            f"{held_out.answered:.1%}",
        )
    return table


def promises_table(evidence: Evidence) -> Table:
    """What was asked against what was reached on samples that neither maps nor thresholds have seen."""
    table = Table("asked", title="asked and reached", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("for", "by", "promised", "reached", "on", "chosen on"):
        table.add_column(title, justify="right")
    for one in evidence.promises:
        table.add_row(
            one.kind.replace("_", " ") + (f" ({one.loss})" if one.loss else ""),
            f"{one.asked:g}",
            one.method,
            "no bound" if one.confidence is None else f"at {one.confidence:.0%}",
            "too few to test" if one.reached is None else f"{one.reached:.4g}",
            str(one.held_out),
            str(one.samples),
        )
    return table


def abstain_table(section: AbstainSection) -> Table:
    """Per exit: how many sets hold the truth, and how many are one class; of sets that half of the samples made."""
    about = f"abstention: sets of {section.samples} samples that miss the truth with chance {section.alpha:g}, held out"
    table = Table("exit", title=about, box=SIMPLE_HEAD, pad_edge=False)
    for title in ("covered", "one class", "unsure"):
        table.add_column(title, justify="right")
    for k, (covered, single) in enumerate(zip(section.coverage, section.single, strict=True), 1):
        table.add_row(str(k), f"{covered:.1%}", f"{single:.1%}", f"{1.0 - single:.1%}")
    return table


def segments_table(section: SegmentsSection, rule: Segmented) -> Table:
    """Per segment: the samples that chose, and its thresholds or those of all."""
    table = Table(section.column, title="thresholds by segment", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("samples", justify="right")
    table.add_column("thresholds of exits before the last")
    values, counts = np.unique(rule.told if rule.told is not None else [], return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        own = section.params.get(value)
        table.add_row(value, str(count), _told(own["per_exit"]) if own else "those of all")
    table.add_row("all", str(counts.sum()), _told(rule.common.thresholds))
    return table


def _told(thresholds: Sequence[float | None]) -> str:
    return ", ".join("never" if one is None else f"{one:.4f}" for one in thresholds)


def slices_table(found: list[Slice]) -> Table:
    """Accuracy and exit share by slice, the worst first."""
    table = Table("slice", title="by slice, held out, worst first", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("samples", "right", "full network", "early"):
        table.add_column(title, justify="right")
    for one in found:
        shares = (f"{share:.1%}" for share in (one.accuracy, one.full_accuracy, one.early))
        table.add_row(f"{one.column} = {one.value}", str(one.samples), *shares)
    return table


def codecs_table(table: CodecTable, chosen: CodecSection) -> Table:
    """Every codec: time to pack, what it costs in accuracy, bytes at every cut; the chosen ones are marked."""
    about = f"codecs: bytes per sample by cut, on {table.samples} samples"
    shown = Table("codec", title=about, box=SIMPLE_HEAD, pad_edge=False)
    cuts = sorted({row.cut for row in table.rows})
    for title in ("ms", "accuracy", *(f"cut {cut}" for cut in cuts)):
        shown.add_column(title, justify="right")
    for name in dict.fromkeys(row.codec for row in table.rows):
        rows = {row.cut: row for row in table.rows if row.codec == name}
        cells = (f"{rows[cut].mean_bytes:.0f}" if cut in rows else "" for cut in cuts)
        mark = " *" if name in (chosen.hidden, chosen.input) else ""
        slowest, worst = max(row.encode_ms for row in rows.values()), min(row.accuracy for row in rows.values())
        shown.add_row(name + mark, f"{slowest:.2f}", f"{100 * (worst - table.accuracy):+.2f}", *cells)
    return shown


def trace_table(recorded: Traces, codecs: CodecSection) -> Table:
    """Per exit: accuracy, agreement, mean confidence, and the bytes that the cut before it ships."""
    table = Table("exit", title=f"codecs {codecs.input} and {codecs.hidden}", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("accuracy", "agrees", "confidence", "bytes of the cut before"):
        table.add_column(title, justify="right")
    for k in range(recorded.exits):
        table.add_row(
            str(k + 1),
            f"{recorded.correct[:, k].mean():.2%}",
            f"{recorded.agrees[:, k].mean():.2%}",
            f"{recorded.confidence[:, k].mean():.4f}",
            f"{np.mean(recorded.payload_bytes[:, k]):.0f}",
        )
    return table
