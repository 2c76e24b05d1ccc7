from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from split_core.config import Section, load, parsed
from split_core.errors import ConfigError


class LinkPart(Section):
    timeout_ms: float = Field(default=100.0, gt=0)
    address: str = "tcp://127.0.0.1:5555"


class Whole(Section):
    name: str
    link: LinkPart = LinkPart()
    other: LinkPart | None = None
    sizes: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _is_not_cursed(self) -> Whole:
        if self.name == "cursed":
            raise ValueError("name 'cursed' is taken; choose another")
        return self


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def failure(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), Whole, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_becomes_the_model(tmp_path: Path) -> None:
    config = load(written(tmp_path, "name: door\nlink: {timeout_ms: 20}\nsizes: [1, 2]"), Whole)
    assert config == Whole(name="door", link=LinkPart(timeout_ms=20.0), sizes=(1, 2))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nlnk: {}", "lnk: unknown key; did you mean 'link'?"),
        ("name: a\nlink: {timout_ms: 3}", "link.timout_ms: unknown key; did you mean 'timeout_ms'?"),
        ("name: a\nother: {adress: x}", "other.adress: unknown key; did you mean 'address'?"),
        ("name: a\nquite_different: 1", "quite_different: unknown key"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path, text: str, expected: str) -> None:
    assert failure(tmp_path, text).endswith(expected)


def test_a_bad_value_says_what_came(tmp_path: Path) -> None:
    assert "link.timeout_ms: expected a number above 0, got -1; leave it out for 100.0" in failure(
        tmp_path, "name: a\nlink: {timeout_ms: -1}"
    )


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert failure(tmp_path, "link: {}").endswith("name: expected a value, there is none")


def test_several_mistakes_are_counted(tmp_path: Path) -> None:
    assert failure(tmp_path, "link: {timeout_ms: x}\nsizes: 3").endswith("(and 2 more)")


def test_a_models_own_rule_reads_as_it_was_written(tmp_path: Path) -> None:
    assert "name 'cursed' is taken; choose another" in failure(tmp_path, "name: cursed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("- a", "expected a mapping"), ("a: [", "not valid YAML"), ("just text", "expected a mapping")],
)
def test_what_is_no_configuration_is_told_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in failure(tmp_path, text)


def test_an_empty_file_is_one_with_defaults(tmp_path: Path) -> None:
    assert load(written(tmp_path, ""), LinkPart) == LinkPart()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: cannot be read"):
        load(tmp_path / "nothing.yaml", Whole)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(path, Whole)


def test_overrides_replace_and_add(tmp_path: Path) -> None:
    path = written(tmp_path, "name: a\nlink: {timeout_ms: 5}")
    config = load(path, Whole, ["link.timeout_ms=7", "link.address=tcp://x:1", "sizes=[3]", "other.timeout_ms=9"])
    assert config.link == LinkPart(timeout_ms=7.0, address="tcp://x:1")
    assert config.sizes == (3,)
    assert config.other == LinkPart(timeout_ms=9.0)


@pytest.mark.parametrize("item", ["novalue", "=3", "name.inside=3", "link.timout_ms=3", "sizes=[1"])
def test_an_override_that_does_not_fit_is_refused(tmp_path: Path, item: str) -> None:
    assert item.partition("=")[0].split(".")[-1][:4] in failure(tmp_path, "name: a", item)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda x: st.lists(x) | st.dictionaries(st.text(max_size=5), x),
        max_leaves=8,
    )
)
def test_any_document_is_a_model_or_one_line(document: object) -> None:
    message = "here: fits"
    try:
        parsed(document, Whole, "here")
    except ConfigError as error:
        message = str(error)
    assert message.startswith("here: ")
    assert "\n" not in message
