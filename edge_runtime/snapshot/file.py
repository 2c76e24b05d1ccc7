"""A snapshot as a file: a PNG, or a page of HTML that holds picture and words and needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from html import escape
from io import BytesIO

from edge_runtime.snapshot.picture import draw
from edge_runtime.snapshot.snapshot import Snapshot
from edge_runtime.snapshot.words import headline, in_lines
from edge_runtime.sources.base import Item

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ margin: 2em auto; max-width: 1200px; font-family: sans-serif }}
img {{ max-width: 100% }} pre {{ white-space: pre-wrap }}</style></head>
<body><img src="data:image/png;base64,{png}" alt="The text below, drawn">
<pre>{words}</pre></body></html>
"""


def as_png(snapshot: Snapshot, item: Item) -> bytes:
    """Its picture."""
    png = BytesIO()
    draw(snapshot, item).image.save(png, "PNG", optimize=True)
    return png.getvalue()


def as_html(snapshot: Snapshot, item: Item) -> bytes:
    """A page with its picture, and its words for who cannot see it or wants to copy them."""
    png = b64encode(as_png(snapshot, item)).decode()
    words = escape("\n".join(in_lines(snapshot)))
    return PAGE.format(title=escape(headline(snapshot)), png=png, words=words).encode()


FORMATS: dict[str, Callable[[Snapshot, Item], bytes]] = {".png": as_png, ".html": as_html}
