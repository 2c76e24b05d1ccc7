from __future__ import annotations

import json
import subprocess
import sys

import pytest

from split_core import cli
from split_core.errors import BundleError
from split_core.registry import resolve


def loaded_by(*words: str) -> set[str]:
    """Top-level modules that a fresh `offramp WORDS` imports."""
    program = (
        "import sys, json; from split_core.cli import main; main(sys.argv[1:]); "
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_imports_nothing_heavy():
    heavy = {"numpy", "typer", "rich", "zmq", "onnx", "onnxruntime", "pydantic", "yaml", "scipy", "torch", "PIL"}
    assert not heavy & loaded_by("--help")


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_of_the_table_exists_and_explains_itself(name, capsys):
    command = cli.COMMANDS[name]
    function = resolve(command.location, name, command.extra)
    assert (function.__doc__ or "").strip()
    assert cli.main([*name.split(), "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert cli.main(["calibrat"]) == 2
    assert "did you mean 'calibrate'" in capsys.readouterr().err


def test_a_group_alone_says_what_to_type(capsys):
    assert cli.main(["edge", "door.yaml", "--json"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'offramp edge run door.yaml --json'" in line


def test_a_misspelt_verb_suggests_the_nearest(capsys):
    assert cli.main(["edge", "rum", "door.yaml"]) == 2
    assert "did you mean 'run'" in capsys.readouterr().err


def test_the_help_of_a_group_lists_its_verbs(capsys):
    assert cli.main(["edge", "--help"]) == 0
    assert "edge run" in capsys.readouterr().out


def test_a_wrong_option_is_wrong_use(capsys):
    assert cli.main(["keys", "--no-such-option"]) == 2
    assert "no-such-option" in capsys.readouterr().err


def test_an_error_of_ours_is_one_line_and_its_exit_code(capsys, tmp_path):
    code = cli.main(["verify", str(tmp_path / "absent"), "--model", str(tmp_path / "absent.onnx")])
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == BundleError.exit_code
    assert len(lines) == 1
    assert lines[0].startswith("offramp verify: ")


def test_keys_are_made_once_and_the_secret_is_private(tmp_path, capsys):
    assert cli.main(["keys", str(tmp_path), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    from pathlib import Path

    assert Path(made["secret"]).stat().st_mode & 0o077 == 0
    assert cli.main(["keys", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_doctor_looks_at_this_machine(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"python", "onnxruntime", "encryption", "text", "disk"} <= {finding["check"] for finding in findings}
    assert all(finding["advice"] for finding in findings if finding["state"] != "ok")
