from __future__ import annotations

import pytest

from split_core.errors import ConfigError
from split_core.params import params_from_text


def test_values_on_a_command_line_are_yaml() -> None:
    given = ["precision=fp16", "ranges={sequence: [16, 128, 512]}", "workspace_mb=256", "alpha=0.5"]
    assert params_from_text(given, "--option") == {
        "precision": "fp16",
        "ranges": {"sequence": [16, 128, 512]},
        "workspace_mb": 256,
        "alpha": 0.5,
    }


def test_off_is_a_word_and_true_is_none() -> None:
    assert params_from_text(["optimisation=off", "loud=true"], "--option") == {"optimisation": "off", "loud": True}


@pytest.mark.parametrize("item", ["precision", "=fp16", "precision=", "ranges={", "two words=1"])
def test_what_is_no_key_with_a_value_is_refused(item: str) -> None:
    with pytest.raises(ConfigError, match=r"--option .*: expected key=value"):
        params_from_text([item], "--option")


def test_a_key_may_come_once() -> None:
    with pytest.raises(ConfigError, match="--option alpha: given twice"):
        params_from_text(["alpha=1", "alpha=2"], "--option")
