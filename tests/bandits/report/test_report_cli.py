from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from bandits.report.cli import report
from split_core.errors import ArtefactError, MissingExtra

APP = typer.Typer(add_completion=False)
APP.command()(report)
PNG = b"\x89PNG\r\n\x1a\n"


def invoked(*arguments: object) -> str:
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments])
    if result.exception:
        raise result.exception
    return result.stdout


def test_the_report_is_written_beside_its_files_and_nothing_is_left_over(run_folder):
    printed = invoked(run_folder)
    assert (run_folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in run_folder.iterdir()) == ["report.html", "result.json", "series.json"]
    assert "wrote" in printed
    assert "is cheaper than ours" in printed


def test_markdown_is_printed_without_series_and_writes_nothing(run_folder):
    (run_folder / "series.json").unlink()
    printed = invoked(run_folder, "--markdown")
    assert printed.count("| policy | how |") == 2
    assert not (run_folder / "report.html").exists()


def test_pictures_for_the_readme_are_written_where_asked(run_folder):
    printed = json.loads(invoked(run_folder, "--png", run_folder / "pictures", "--json"))
    pictures = [run_folder / "pictures" / name for name in ("accuracy_cost.png", "outage.png")]
    assert printed == {"report": str(run_folder / "report.html"), "pictures": [str(path) for path in pictures]}
    assert all(path.read_bytes().startswith(PNG) for path in pictures)


@pytest.mark.parametrize("name", ["result.json", "series.json"])
def test_a_missing_file_is_one_line_that_says_what_to_run(run_folder, name):
    (run_folder / name).unlink()
    with pytest.raises(ArtefactError, match=rf"{name}: cannot be read .*run 'offramp demo'") as caught:
        invoked(run_folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[]", "expected a mapping of settings"),
        (b"{}", "setting: expected a value"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_the_fault(run_folder, content, said):
    (run_folder / "result.json").write_bytes(content)
    with pytest.raises(ArtefactError, match=rf"result\.json: .*{said}.*run 'offramp demo'") as caught:
        invoked(run_folder)
    assert "\n" not in str(caught.value)
    assert not (run_folder / "report.html").exists()


def test_a_missing_key_is_named_with_its_place(run_folder, document):
    del document["runs"]["any"]["policies"][2]["mean_cost"]
    (run_folder / "result.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"runs\.any\.policies\.2\.mean_cost: expected a value"):
        invoked(run_folder)


def test_lists_of_unequal_length_are_refused(run_folder, series_document):
    series_document["outage"]["frames"]["kind"].pop()
    (run_folder / "series.json").write_text(json.dumps(series_document), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"outage\.frames: .*same length"):
        invoked(run_folder)


def test_figures_that_are_no_numbers_count_as_not_measured(run_folder, document):
    document["runs"]["any"]["policies"][0]["mean_cost"] = float("nan")
    (run_folder / "result.json").write_text(json.dumps(document), encoding="utf-8")
    assert "nan" not in invoked(run_folder)


def test_a_missing_matplotlib_names_the_extra(run_folder, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("bandits.report.plots")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"needs the module 'matplotlib'; run: pip install 'offramp\[report\]'"):
        invoked(run_folder)


def test_tables_and_sentences_need_no_matplotlib():
    code = "import sys, bandits.report.cli, bandits.report.page; print('matplotlib' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
        == "False\n"
    )
