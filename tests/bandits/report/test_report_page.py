from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from bandits.report.figures import MISSING
from bandits.report.page import page
from bandits.report.palette import LIGHT
from bandits.report.plots.canvas import drawings
from bandits.report.result import Result, Series
from bandits.report.table import COLUMNS, lines_of

VOID = {"meta", "br", "img", "hr", "link", "input"}
EXPECTED_DRAWINGS = {
    "cost_any",
    "cost_hidden",
    "regret_any",
    "regret_hidden",
    "shares_any",
    "shares_hidden",
    "calibration",
    "outage",
}


class Tree(HTMLParser):
    """Checks that tags nest, and collects tables, ids and references."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if found.get("id") else []
        self.references += [value[1:] for key, value in attrs if key == "href" and value]
        self.references += [
            name for each in ("aria-labelledby", "aria-describedby") for name in (found.get(each) or "").split()
        ]
        self.references += re.findall(r"url\(#([^)]+)\)", " ".join(value or "" for value in found.values()))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def parsed(text: str) -> Tree:
    tree = Tree()
    tree.feed(text)
    tree.close()
    return tree


def rendered(document: dict[str, Any], series: dict[str, Any] | None = None) -> str:
    result = Result.model_validate(document)
    return page(result, drawings(result, Series.model_validate(series)) if series else {})


def test_the_page_is_well_formed_and_every_reference_inside_it_has_a_target(document, series_document):
    tree = parsed(rendered(document, series_document))
    assert tree.faults == []
    assert tree.open == []
    assert len(tree.ids) == len(set(tree.ids))
    assert set(tree.references) <= set(tree.ids)


def test_the_page_opens_offline_and_stays_under_a_megabyte(document, series_document):
    text = rendered(document, series_document)
    assert "http://" not in text
    assert "https://" not in text
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in parsed(text).tags}
    assert "@import" not in text
    assert len(text.encode()) < 1_000_000


def test_a_long_run_stays_under_a_megabyte_too(document, series_document):
    frames = series_document["outage"]["frames"]
    for key in frames:
        frames[key] = frames[key] * 10
    for curve in series_document["runs"]["any"]["regret"].values():
        curve["frame"], curve["regret"] = curve["frame"] * 20, curve["regret"] * 20
    assert len(rendered(document, series_document).encode()) < 1_000_000


def test_the_first_words_state_link_slow_down_and_objective(document, series_document):
    text = rendered(document, series_document)
    body = text[text.index("<body>") :]
    places = [body.index(sentence) for sentence in document["setting"]["headline"]]
    assert places == sorted(places)
    assert places[-1] < body.index('class="cards"') < body.index("<svg") < body.index("<table")


def test_every_drawing_is_named_and_described_for_who_cannot_see_it(document, series_document):
    tree = parsed(rendered(document, series_document))
    images = [attributes for tag, attributes in tree.tags if tag == "svg"]
    assert {image["aria-labelledby"].removesuffix("-title") for image in images} == EXPECTED_DRAWINGS
    assert all(image["role"] == "img" and image["aria-describedby"] in tree.ids for image in images)


def test_text_in_drawings_stays_text_and_colours_are_the_pages(document, series_document):
    text = rendered(document, series_document)
    svg = text[text.index("<svg") : text.rindex("</svg>")]
    assert "mean cost per frame" in svg
    assert "black hole" in svg
    assert not [colour for colour in LIGHT.values() if colour in svg]
    assert "var(--ours)" in svg


def test_every_colour_of_a_drawing_has_a_light_and_a_dark_value_in_the_style(document):
    style = rendered(document).split("<style>")[1].split("</style>")[0]
    light, dark = style.split("prefers-color-scheme: dark", maxsplit=1)
    for name, colour in LIGHT.items():
        assert f"--{name}: {colour};" in light
        assert f"--{name}: #" in dark


def test_columns_and_rows_have_scopes_and_tables_have_captions(document):
    tree = parsed(rendered(document))
    assert all(attributes.get("scope") for tag, attributes in tree.tags if tag == "th")
    assert sum(tag == "caption" for tag, _ in tree.tags) == len(tree.tables) == 4


@pytest.mark.parametrize(("ship", "place"), [("any", 0), ("hidden", 1)])
def test_the_policy_tables_show_the_figures_of_the_file(document, ship, place):
    shown = parsed(rendered(document)).tables[place][1:]
    lines = list(lines_of(Result.model_validate(document).runs[ship]))
    assert [row[-len(COLUMNS) :] for row in shown] == [line.cells for line in lines]
    ours = next(row for row in document["runs"][ship]["policies"] if row["name"] == "sequential")
    last_live = next(row for row in reversed(shown) if "live" in row)
    assert last_live[0] == "Offramp: sequential (default)"
    assert f"{ours['mean_cost']:.2f}" in last_live
    assert f"{100 * ours['accuracy']:.2f}" in last_live
    assert f"{ours['latency_ms']['p99']:.1f}" in last_live


def test_the_outage_and_exit_tables_show_the_figures_of_the_file(document):
    outage, exits = parsed(rendered(document)).tables[2:]
    assert outage[1:] == [
        ["killed", "10.0", "16.0", "1.31"],
        ["frozen", "27.0", "32.0", "0.42"],
        ["black hole", "43.0", "49.0", "0.93"],
    ]
    assert exits[1] == ["1", "82.45", "87.65", "6.90", "12.54", "5.60", "1.10"]
    assert exits[6][4] == MISSING


def test_text_from_the_file_cannot_become_markup(document, series_document):
    evil = '<script>alert("x")</script>'
    document["setting"]["headline"][0] = evil
    document["setting"]["data"] = evil
    document["versions"][evil] = evil
    document["runs"]["any"]["policies"][4]["name"] = evil
    document["runs"]["any"]["cost_model"] = {evil: evil}
    document["outage"]["faults"][0]["kind"] = evil
    series_document["runs"]["any"]["regret"][evil] = series_document["runs"]["any"]["regret"].pop("splitee")
    series_document["outage"]["faults"][0]["kind"] = evil
    text = rendered(document, series_document)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 6
    assert parsed(text).faults == []


def nulled(value: Any) -> Any:
    """`value` with every number replaced by null."""
    if isinstance(value, dict):
        return {key: nulled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [nulled(inner) for inner in value]
    return value if isinstance(value, (str, bool)) else None


def test_a_result_in_which_nothing_was_measured_still_gives_a_page_of_dashes(document, series_document):
    empty = nulled(document)
    for each, exit_number in zip(empty["exits"], range(1, 7), strict=True):
        each["exit"] = exit_number
    series_document["outage"]["deadline_ms"] = None
    series_document["outage"]["frames"]["latency_ms"] = [None] * 1200
    for curve in series_document["runs"]["any"]["regret"].values():
        curve["regret"] = [None] * len(curve["regret"])
    text = rendered(empty, series_document)
    assert parsed(text).faults == []
    assert "None" not in text
    assert "nan" not in re.findall(r"[a-z]+", text[text.index("<body>") :])
    assert set(parsed(text).tables[0][1][2:]) == {MISSING, "/".join([MISSING] * 6)}


def test_sections_without_data_are_left_out(document, series_document):
    del document["runs"]["hidden"], document["privacy"], series_document["runs"]["hidden"]
    text = rendered(document, series_document)
    assert "What privacy costs" not in text
    assert "ship: hidden" not in text
    assert parsed(text).faults == []


def test_a_cloud_that_never_came_back_is_not_hidden(document, series_document):
    assert "1.31 s" in rendered(document)
    document["outage"]["faults"][1]["recovery_s"] = None
    series_document["outage"]["faults"][1]["recovery_s"] = None
    text = rendered(document, series_document)
    assert '<span class="figure">never</span>' in text
    assert "1 of 3 faults" in text


def test_a_quick_run_says_that_its_figures_are_noisy(document):
    assert "quick run" not in rendered(document)
    document["setting"]["quick"] = True
    assert "quick run" in rendered(document)


def test_the_same_files_give_the_same_bytes(document, series_document):
    assert rendered(document, series_document) == rendered(document, series_document)
