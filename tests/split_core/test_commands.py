from __future__ import annotations

import json
from pathlib import Path

import pytest
import zmq

from split_core import policy as policies
from split_core.cli import main
from split_core.demo.processes import Background, StepFailed
from split_core.policy import ExitSection, PolicyFile


@pytest.fixture
def policy_path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    policies.save(PolicyFile(bundle_id="a" * 64, exits=(ExitSection(), ExitSection(temperature=1.5))), path)
    return path


def test_set_changes_a_value_and_seals_the_file_again(policy_path: Path):
    before = policies.load(policy_path)
    assert main(["policy", "set", str(policy_path), "objective.mu=0.02", "bandit.params.c=0.3", "ship=hidden"]) == 0
    after = policies.load(policy_path)
    assert (after.objective.mu, after.bandit.params, after.ship) == (0.02, {"c": 0.3}, "hidden")
    assert (after.version, after.id != before.id) == (before.version + 1, True)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("objective.mju=1", "objective.mju: unknown key; did you mean 'mu'?"),
        ("objective.mu=-1", "objective.mu: expected a number of at least 0, got -1; leave it out for 0.01"),
        ("ship=everything", "ship: expected 'any' or 'hidden', got 'everything'; leave it out for 'any'"),
        ("nonsense", "expected key=value"),
    ],
)
def test_a_bad_change_is_one_line_and_the_file_stays(policy_path: Path, capsys, item, message):
    before = policy_path.read_bytes()
    assert main(["policy", "set", str(policy_path), item]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert policy_path.read_bytes() == before


def test_diff_names_every_changed_value(policy_path: Path, tmp_path: Path, capsys):
    other = tmp_path / "other.yaml"
    other.write_bytes(policy_path.read_bytes())
    main(["policy", "set", str(other), "objective.kb=2"])
    capsys.readouterr()
    assert main(["policy", "diff", str(policy_path), str(other)]) == 0
    assert capsys.readouterr().out.splitlines() == ["objective.kb: 0.0 -> 2.0", "version: 1 -> 2"]


def test_a_policy_changed_by_hand_is_refused_with_advice(policy_path: Path, capsys):
    policy_path.write_text(policy_path.read_text().replace("mu: 0.01", "mu: 0.5"))
    assert main(["policy", "show", str(policy_path)]) == 3
    assert "offramp policy set" in capsys.readouterr().err


def test_garbage_is_no_policy(policy_path: Path, capsys):
    policy_path.write_bytes(b"\x80\x04garbage")
    assert main(["policy", "show", str(policy_path)]) == 3
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_link_is_a_process_that_obeys_lines_on_its_input(tmp_path: Path):
    with zmq.Context() as context, context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        for end in (server, client):
            end.linger = 0
        port = server.bind_to_random_port("tcp://127.0.0.1")
        link = Background(["link", "--to", f"tcp://127.0.0.1:{port}"], tmp_path / "link.log", talks=True)
        try:
            client.connect(json.loads(link.hear())["address"])
            client.send(b"over the link")
            assert server.poll(5000)
            assert server.recv() == b"over the link"
            assert link.say('{"black_hole": true}') == '{"black_hole": true}'
            server.send(b"into the hole")
            assert not client.poll(200)
            link.say('{"black_hole": false}')
            assert client.poll(5000)
            assert client.recv() == b"into the hole"
        finally:
            link.end()


def test_what_ends_before_it_is_ready_is_not_waited_for(tmp_path: Path):
    with pytest.raises(StepFailed, match=r"'offramp cloud' ended: .*nowhere\.yaml: cannot be read"):
        Background(["cloud", "nowhere.yaml"], tmp_path / "cloud.log", ready_file=tmp_path / "ready.json")
