"""A part of a picture that grows downwards: texts that are wrapped, bars, marks.  Pillow only.

Colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart; nothing is told by
colour alone.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]

BLACK, GREY, PALE, WHITE = (20, 20, 20), (110, 110, 110), (232, 234, 237), (255, 255, 255)
BLUE, ORANGE, GREEN = (0, 114, 178), (230, 159, 0), (0, 158, 115)
RED, SKY, PURPLE = (213, 94, 0), (86, 180, 233), (204, 121, 167)

SMALL, PLAIN, LARGE, TITLE = 13, 15, 18, 26
TALLEST = 20_000  # pixels; a text longer than that is cut off
WIDER_FONT = "DejaVuSans.ttf"  # for class names that Pillow's own font has no letters for, where it is installed


class Box(NamedTuple):
    """Left, top, right, bottom: the right and bottom edges are outside."""

    left: int
    top: int
    right: int
    bottom: int

    def moved(self, right: int, down: int) -> Box:
        """The same somewhere else."""
        return Box(self.left + right, self.top + down, self.right + right, self.bottom + down)


@lru_cache(maxsize=32)
def font(size: int) -> Font:
    """Pillow's own font, so that pictures look the same everywhere."""
    return ImageFont.load_default(size)


@lru_cache(maxsize=32)
def wider_font(size: int) -> Font | None:
    """One with more letters; None where there is none."""
    try:
        return ImageFont.truetype(WIDER_FONT, size)
    except OSError:
        return None


def drawable(text: str, size: int) -> tuple[str, Font]:
    """A text, and a font that has its letters; where none has, the nearest plain ones."""
    if text.isascii():
        return text, font(size)
    wider = wider_font(size)
    if wider is not None:
        return text, wider
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c if c.isascii() else "" if unicodedata.combining(c) else "?" for c in plain), font(size)


def width_of(text: str, size: int) -> int:
    """Pixels of one line."""
    shown, face = drawable(text, size)
    return round(face.getlength(shown))


def shortened(text: str, size: int, width: int) -> str:
    """The text with its middle left out, if it would be wider."""
    if width_of(text, size) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if width_of(_without_middle(text, kept), size) <= width else (low, kept - 1)
    return _without_middle(text, low)


def _without_middle(text: str, kept: int) -> str:
    tail = kept // 3
    return f"{text[: kept - tail].rstrip()}...{text[len(text) - tail :].lstrip()}"


def wrapped(text: str, size: int, width: int) -> list[str]:
    """Lines that are no wider; a word that is too long for one is broken."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if width_of(longer, size) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            *full, line = _pieces(word, size, width)
            lines += full
        lines.append(line)
    return lines


def _pieces(word: str, size: int, width: int) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and width_of(pieces[-1] + letter, size) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


class Panel:
    """A white strip of a fixed width; what is drawn below its end makes it longer.

    Args:
        width: pixels.

    Attributes:
        width: as given.
        y: where the next line goes.
    """

    def __init__(self, width: int) -> None:
        self.width, self.y = width, 0
        self._image = Image.new("RGB", (width, 400), WHITE)
        self._draw = ImageDraw.Draw(self._image)

    @property
    def image(self) -> Image.Image:
        """What was drawn so far."""
        return self._image.crop((0, 0, self.width, max(1, min(self.y, self._image.height))))

    def down(self, pixels: int) -> None:
        """Leave some space, and make room."""
        self.y = min(TALLEST, self.y + pixels)
        if self.y + 200 > self._image.height:
            longer = Image.new("RGB", (self.width, 2 * self.y + 200), WHITE)
            longer.paste(self._image)
            self._image, self._draw = longer, ImageDraw.Draw(longer)

    def text(
        self, text: str, size: int = PLAIN, colour: Colour = BLACK, *, left: int = 0, right: int | None = None
    ) -> None:
        """Lines of text between two columns, and go on below them."""
        for line in wrapped(text, size, (self.width if right is None else right) - left):
            self.put(line, left, size, colour)
            self.down(round(1.35 * size))

    def heading(self, text: str) -> None:
        """What comes below."""
        self.text(text, SMALL, GREY)
        self.down(3)

    def put(self, text: str, left: int, size: int = PLAIN, colour: Colour = BLACK, *, width: int = 0) -> None:
        """One piece of text on this line; a width shortens what is longer."""
        shown, face = drawable(shortened(text, size, width) if width else text, size)
        self._draw.text((left, self.y), shown, fill=colour, font=face)

    def put_right(self, text: str, right: int, size: int = PLAIN, colour: Colour = BLACK) -> None:
        """One piece of text that ends at a column."""
        self.put(text, right - width_of(text, size), size, colour)

    def fill(self, box: Box, colour: Colour) -> None:
        """A rectangle; an empty one is not drawn."""
        if box.right > box.left and box.bottom > box.top:
            self._draw.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), fill=colour)

    def stripe(self, box: Box, colour: Colour) -> None:
        """A rectangle with slanting stripes, for what did not happen; its edge is whole."""
        if box.right <= box.left:
            return
        for x in range(box.left, box.right):
            for y in range(box.top, box.bottom):
                edge = x in (box.left, box.right - 1) or y in (box.top, box.bottom - 1)
                if edge or (x + y) % 6 < 2:
                    self._image.putpixel((x, y), colour)

    def mark(self, x: int, box: Box, colour: Colour = BLACK) -> None:
        """An upright line through a box, with a head above it."""
        self._draw.line((x, box.top - 3, x, box.bottom + 2), fill=colour, width=2)
        self._draw.polygon(((x - 4, box.top - 6), (x + 5, box.top - 6), (x, box.top)), fill=colour)

    def pointer(self, colour: Colour = BLACK) -> None:
        """A small triangle at the left of this line: this one."""
        top = self.y + 3
        self._draw.polygon(((0, top), (0, top + 12), (9, top + 6)), fill=colour)

    def paste(self, image: Image.Image, left: int, top: int) -> None:
        """Another picture."""
        self._image.paste(image, (left, top))
