"""A drawing of matplotlib, made fit to stand inside a page: named, themed by the page's colours, free of links.

Pure text to text; knows nothing of matplotlib but how it spells SVG.
"""

from __future__ import annotations

import re
from html import escape

from bandits.report.palette import LIGHT

_VARIABLES = {colour: f"var(--{name})" for name, colour in LIGHT.items()}
_COLOUR = re.compile("|".join(re.escape(colour) for colour in _VARIABLES))


def inline(drawing: str, *, name: str, title: str, description: str) -> str:
    """The `<svg>` element to put into a page.

    Args:
        drawing: an SVG file as matplotlib writes it.
        name: prefix of every id, because several drawings share one page.
        title: what a screen reader says first.
        description: what the drawing shows, for who cannot see it.
    """
    body = drawing[drawing.index("<svg") :].strip()
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = _with_own_ids(body, name)
    body = _COLOUR.sub(lambda found: _VARIABLES[found.group()], body)
    # The page's own font, as one variable: the reader's system has no DejaVu Sans.
    body = re.sub(r"font: ([^;\"]*?px) [^;\"]*", r"font: \1 var(--sans)", body)
    body = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", body)
    return _with_words(body, name, title, description)


def _with_own_ids(body: str, name: str) -> str:
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', body)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)


def _with_words(body: str, name: str, title: str, description: str) -> str:
    """Replace the opening tag: the page decides the size, HTML needs no namespaces."""
    opening = body[: body.index(">") + 1]
    found = re.search(r'viewBox="([^"]+)"', opening)
    if found is None:
        raise ValueError("an SVG without a viewBox cannot be scaled by the page")
    head = (
        f'<svg role="img" viewBox="{found.group(1)}" aria-labelledby="{name}-title" aria-describedby="{name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return head + body[len(opening) :]
