from __future__ import annotations

import sys

import pytest

from split_core import cli


def test_without_torch_the_command_says_in_one_line_what_to_install(tiny_bundle, tmp_path, capsys, monkeypatch):
    for name in [
        name for name in sys.modules if name.startswith(("partitioner.train.training", "partitioner.train.fit"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main(["train", str(tiny_bundle), "--data", "x.npz", "--out", str(tmp_path)]) == 4
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1
    assert "offramp[partition,torch]" in lines[0]


def test_without_torch_joint_training_says_so_too(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("partitioner.train.joint.run")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main(["train", "joint", "package:factory", "--data", "x.npz", "--out", str(tmp_path)]) == 4
    assert "offramp[partition,torch]" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"]])
def test_help_needs_no_torch(words, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main(["train", *words]) == 0
    assert "Train a bundle's exits" in capsys.readouterr().out
    assert cli.main(["train", "joint", *words]) == 0
    assert "all its exits at once" in " ".join(capsys.readouterr().out.split())
