"""What is written for people is true: commands exist, links lead somewhere, examples are accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bandits import POLICIES
from bandits.build import parameter_names
from cloud_runtime.config import CloudConfig
from edge_runtime.config import EdgeConfig
from partitioner.manifest import NetworkFile
from split_core import config, profiles
from split_core.cli import COMMANDS
from split_core.preprocess import Preprocess
from split_core.tokeniser import Tokeniser

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "hw_profiles" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = {
    "configs/edge.yaml": EdgeConfig,
    "configs/cloud.yaml": CloudConfig,
    "configs/demo/edge.yaml": EdgeConfig,
    "configs/demo/cloud.yaml": CloudConfig,
    "configs/demo/network.yaml": NetworkFile,
    "configs/network.yaml": NetworkFile,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_exists(page: Path):
    named = re.findall(r"(?m)(?:^|`)(?:\.venv/bin/)?offramp (\w+)(?: ([\w-]+))?", page.read_text())
    assert [words for words in named if not {words[0], " ".join(words)} & set(COMMANDS)] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_accepted(name: str):
    assert config.load(ROOT / name, EXAMPLES[name])


def test_no_example_is_forgotten():
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml")}
    assert found == set(EXAMPLES)


def test_the_page_on_policies_names_every_policy_and_exactly_its_parameters():
    table = (ROOT / "docs" / "policy.md").read_text().partition("## Who decides")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| `(\w+)` \| [^|]+ \|([^|]*)\|$", table)
    told = {name: re.findall(r"`(\w+)`", parameters) for name, parameters in rows}
    assert told == {name: parameter_names(name) for name in POLICIES}


def test_the_page_on_preprocessing_has_a_row_for_every_key():
    page = (ROOT / "docs" / "preprocess.md").read_text()
    rows = re.findall(r"(?m)^\| (`\w+`(?:, `\w+`)*) \|", page)
    told = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    assert sorted(told) == sorted([*Preprocess.model_fields, *Tokeniser.model_fields])


def test_every_shipped_profile_can_be_read():
    found = sorted((ROOT / "hw_profiles").glob("*.yaml"))
    assert found
    assert all(profiles.load(path).segments for path in found)


def test_every_command_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"`{name}`" not in text and f"offramp {name}" not in text] == []
