"""A snapshot as one picture: the frame, what every exit says of it, what was decided and why, where the time went."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from edge_runtime.snapshot.panel import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LARGE,
    ORANGE,
    PALE,
    PLAIN,
    PURPLE,
    RED,
    SKY,
    SMALL,
    TITLE,
    WHITE,
    Box,
    Colour,
    Panel,
    shortened,
    width_of,
)
from edge_runtime.snapshot.snapshot import Said, Snapshot, Spent, Step
from edge_runtime.snapshot.words import expected, headline, link_of, moved, ms, percent, plan_of, story, warnings
from edge_runtime.sources.base import Item, Pixels

WIDTH, EDGE, GAP = 1200, 28, 32
LEFT = 400  # of the frame
RIGHT = WIDTH - 2 * EDGE - GAP - LEFT
BAR, ROW = 16, 34
LEGIBLE = 1200  # characters of a text frame that are shown
COLOURS: dict[str, Colour] = {"device": BLUE, "link": ORANGE, "cloud": GREEN, "rest": PURPLE}
WHOSE: dict[str, Colour] = {"run": BLUE, "afterwards": SKY, "worker": GREEN}


@dataclass(frozen=True)
class Picture:
    """A drawn snapshot.

    Attributes:
        image: RGB.
        bars: of `Snapshot.exits`, in order: where confidence 0 begins and 1 ends.
    """

    image: Image.Image
    bars: tuple[Box, ...]


def draw(snapshot: Snapshot, item: Item) -> Picture:
    """The picture of a snapshot of this frame."""
    head, foot = _head(snapshot), _foot(snapshot)
    left, (right, bars) = _frame(snapshot, item), _right(snapshot)
    sheet, top = Panel(WIDTH), EDGE
    middle = top + head.height + 18
    bottom = middle + max(left.height, right.height) + 24
    sheet.down(bottom + foot.height + EDGE)
    sheet.paste(head, EDGE, top)
    sheet.paste(left, EDGE, middle)
    at = EDGE + LEFT + GAP
    sheet.paste(right, at, middle)
    sheet.paste(foot, EDGE, bottom)
    return Picture(sheet.image, tuple(bar.moved(at, middle) for bar in bars))


def _head(snapshot: Snapshot) -> Image.Image:
    panel, about = Panel(WIDTH - 2 * EDGE), snapshot.about
    panel.text(shortened(headline(snapshot), TITLE, panel.width), TITLE)
    panel.text(story(snapshot), LARGE, GREY)
    panel.down(4)
    for line in warnings(snapshot):
        panel.fill(Box(0, panel.y + 2, 6, panel.y + 18), RED)
        panel.text(line, PLAIN, RED, left=14)
    known = [part for part in (about.bundle, f"policy {about.policy_id[:12]}" if about.policy_id else "") if part]
    panel.text("; ".join([*known, *([about.learned] if about.learned else [])]) or " ", SMALL, GREY)
    for note in about.notes:
        panel.text(note, SMALL, GREY)
    return panel.image


def _frame(snapshot: Snapshot, item: Item) -> Image.Image:
    panel = Panel(LEFT)
    if isinstance(item, str):
        _quote(panel, item)
    else:
        shown = fitted(item, LEFT, LEFT)
        panel.fill(Box(0, 0, LEFT, shown.height), PALE)
        panel.down(shown.height)
        panel.paste(shown, (LEFT - shown.width) // 2, 0)
    panel.down(8)
    panel.text(snapshot.frame, SMALL, GREY)
    for one in snapshot.measures:
        usual = "" if math.isnan(one.below) else f"; lower in {100 * one.below:.0f} % of calibration's"
        panel.text(f"{one.name} {one.value:.3g}{usual}", SMALL, GREY)
    return panel.image


def _quote(panel: Panel, text: str) -> None:
    shown = text if len(text) <= LEGIBLE else f"{text[:LEGIBLE]}..."
    inner = Panel(LEFT - 40)
    inner.text(shown, LARGE)
    panel.down(14)
    panel.down(inner.image.height + 14)
    panel.fill(Box(0, 0, 5, panel.y), BLUE)
    panel.paste(inner.image, 22, 14)


def fitted(pixels: Pixels, width: int, height: int) -> Image.Image:
    """A frame as large as fits; small ones keep their pixels as squares."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("RGB")
    scale = min(width / image.width, height / image.height)
    if scale >= 2.0:
        scale = math.floor(scale)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.NEAREST if scale > 1.0 else Image.Resampling.LANCZOS)


def _right(snapshot: Snapshot) -> tuple[Image.Image, tuple[Box, ...]]:
    panel = Panel(RIGHT)
    asked = "; the mark is what was asked" if any(0.0 <= one.asked <= 1.0 for one in snapshot.exits) else ""
    panel.heading(f"calibrated confidence: filled when read in the run, striped when not{asked}")
    bars = []
    for one in snapshot.exits:
        answered = one.exit == snapshot.exit and (one.when == "worker") == (snapshot.where == "cloud")
        bars.append(_bar(panel, one, answered=answered))
    panel.down(10)
    panel.heading("what was decided, and why")
    for line in (plan_of(snapshot), *link_of(snapshot)):
        panel.text(line, SMALL)
    panel.down(4)
    for step in snapshot.steps:
        _step(panel, step)
    return panel.image, tuple(bars)


def _bar(panel: Panel, one: Said, *, answered: bool) -> Box:
    """Name of the exit, bar, confidence and class on one line, margin below."""
    name = "worker" if one.when == "worker" else f"exit {one.exit}"
    panel.down(6)
    if answered:
        panel.pointer(RED)
    panel.put(name, 14)
    box = Box(84, panel.y + 2, 84 + 320, panel.y + 2 + BAR)
    panel.fill(box, PALE)
    full = replace_right(box, box.left + round(one.confidence * (box.right - box.left)))
    (panel.stripe if one.when == "afterwards" else panel.fill)(full, WHOSE[one.when])
    if 0.0 <= one.asked <= 1.0:
        panel.mark(box.left + round(one.asked * (box.right - box.left)), box)
    panel.put_right(percent(one.confidence), box.right + 76)
    panel.put(
        one.name, box.right + 90, colour=BLACK if one.when != "afterwards" else GREY, width=RIGHT - box.right - 90
    )
    panel.down(ROW - 16)
    panel.put(_small_print(one), 84, SMALL, GREY, width=RIGHT - 84)
    panel.down(16)
    return box


def _small_print(one: Said) -> str:
    asked = "" if math.isnan(one.asked) else "never answers" if math.isinf(one.asked) else f"asked {one.asked:.3g}"
    late = {"run": "", "afterwards": "not computed in the run", "worker": ""}[one.when]
    margin = "" if math.isnan(one.margin) else f"margin {one.margin:.3f}"
    return ", ".join(part for part in (margin, asked, f"guard: {one.marked}" if one.marked else "", late) if part)


def replace_right(box: Box, right: int) -> Box:
    """A box that ends somewhere else."""
    return Box(box.left, box.top, right, box.bottom)


def _step(panel: Panel, step: Step) -> None:
    colour = {"deeper": BLUE, "answer": BLUE, "ship": ORANGE, "late": RED}[step.action]
    start = panel.y
    panel.text(f"after exit {step.after}" if step.after else "at first", SMALL, GREY)
    panel.y = start
    panel.text(moved(step), PLAIN, colour, left=84, right=230)
    end, panel.y = panel.y, start
    panel.text(step.why, PLAIN, left=240)
    if step.losses:
        panel.text(expected(step.losses), SMALL, GREY, left=240)
    panel.y = max(end, panel.y) + 5


def _foot(snapshot: Snapshot) -> Image.Image:
    panel = Panel(WIDTH - 2 * EDGE)
    panel.heading(f"where {ms(snapshot.latency_ms)} went")
    _stack(panel, snapshot.spent, snapshot.latency_ms, 26)
    _legend(panel, snapshot.spent)
    panel.down(8)
    panel.heading(f"of the deadline, {ms(snapshot.deadline_ms)}; the mark is where the margin begins")
    whole_ms = max(snapshot.deadline_ms, snapshot.latency_ms)
    panel.down(6)
    box = _stack(panel, snapshot.spent, whole_ms, 10)
    safe = (snapshot.deadline_ms - snapshot.margin_ms) / whole_ms
    panel.mark(box.left + round(safe * (box.right - box.left)), box, RED if snapshot.late else BLACK)
    panel.down(14)
    _costs(panel, snapshot)
    return panel.image


def _stack(panel: Panel, spent: tuple[Spent, ...], whole_ms: float, height: int) -> Box:
    box = Box(0, panel.y, panel.width, panel.y + height)
    panel.fill(box, PALE)
    done_ms = 0.0
    for part in spent:
        left, right = (round(panel.width * each / whole_ms) for each in (done_ms, done_ms + part.ms))
        panel.fill(Box(left, box.top, right, box.bottom), COLOURS[part.where])
        if right - left > 3:  # a gap, so that neighbours of one colour are told apart
            panel.fill(Box(right - 1, box.top, right, box.bottom), WHITE)
        if height > 20 and right - left > width_of(part.what, SMALL) + 8:
            panel.y = box.top + 5
            panel.put(part.what, left + 4, SMALL, WHITE)
        done_ms += part.ms
    panel.y = box.top
    panel.down(height + 6)
    return box


def _legend(panel: Panel, spent: tuple[Spent, ...]) -> None:
    left = 0
    for part in spent:
        words = f"{part.what} {ms(part.ms)}"
        width = width_of(words, SMALL) + 34
        if left and left + width > panel.width:
            left = 0
            panel.down(19)
        panel.fill(Box(left, panel.y + 3, left + 10, panel.y + 13), COLOURS[part.where])
        panel.put(words, left + 15, SMALL)
        left += width
    panel.down(19)


def _costs(panel: Panel, snapshot: Snapshot) -> None:
    """What the policy was told, a line per depth."""
    panel.heading("what the policy was told of costs, before the first segment (prices in units of its objective)")
    columns = (190, 320, 430, 570, 700, 820)
    names = ("depth", "device ms so far", "its price", "ship cut", "payload bytes", "ship ms", "its price")
    _row(panel, names, columns, GREY)
    for told in snapshot.told:
        ship = ("-", "-", "-", "-")
        if told.cut >= 0:
            ship = (str(told.cut), f"{told.payload_bytes:,.0f}", f"{told.ship_ms:.2f}", f"{told.ship:.3g}")
        _row(panel, (str(told.depth), f"{told.device_ms:.2f}", f"{told.device:.3g}", *ship), columns, BLACK)


def _row(panel: Panel, cells: tuple[str, ...], columns: tuple[int, ...], colour: Colour) -> None:
    panel.put(cells[0], 0, SMALL, colour)
    for cell, right in zip(cells[1:], columns, strict=True):
        panel.put_right(cell, right, SMALL, colour)
    panel.down(18)
