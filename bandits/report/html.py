"""Pieces of HTML.  Every text that comes from a file is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from bandits.report.figures import plain


def paragraphs(sentences: Iterable[str]) -> str:
    """One `<p>` per sentence."""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def section(title: str, *parts: str) -> str:
    """A part of the page under its heading."""
    name = "-".join("".join(letter if letter.isalnum() else " " for letter in title.lower()).split())
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>{"".join(parts)}</section>\n'


def facts(values: Mapping[str, object]) -> str:
    """A list of names and values."""
    items = (f"<div><dt>{escape(key)}</dt><dd>{escape(plain(value))}</dd></div>" for key, value in values.items())
    return f'<dl class="facts">{"".join(items)}</dl>'


def figure(drawing: str, title: str, words: str) -> str:
    """A drawing with its caption above it."""
    return f"<figure>{_caption(title, words)}{drawing}</figure>"


def wide_figure(drawing: str, title: str, words: str) -> str:
    """A drawing as wide as the page, which scrolls sideways in a narrow window."""
    label = escape(title, quote=True)
    scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{drawing}</div>'
    return f'<figure class="wide">{_caption(title, words)}{scroll}</figure>'


def _caption(title: str, words: str) -> str:
    return f'<figcaption><strong>{escape(title)}</strong><span class="muted">{escape(words)}</span></figcaption>'


def panels(figures: Iterable[str]) -> str:
    """Figures side by side where there is room."""
    inner = "".join(figures)
    return f'<div class="panels">{inner}</div>' if inner else ""


def scrolling_table(kind: str, caption: str, head: str, bodies: str) -> str:
    """A table that scrolls in its own box; `head` and `bodies` are HTML already."""
    label = escape(caption, quote=True)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table class="{kind}">'
        f"<caption><span>{escape(caption)}</span></caption><thead>{head}</thead>{bodies}</table></div>"
    )


def heading(text: str, unit: str = "") -> str:
    """A column's `<th>`."""
    below = f'<span class="unit">{escape(unit)}</span>' if unit else ""
    return f'<th scope="col">{escape(text)}{below}</th>'


def plain_table(caption: str, heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names the rows; `heads` are (text, unit)."""
    head = f"<tr>{''.join(heading(*each) for each in heads)}</tr>"
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return scrolling_table("rows", caption, head, f"<tbody>{body}</tbody>")
