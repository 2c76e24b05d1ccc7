from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from split_core import policy as policies
from split_core.cli import main
from split_core.errors import ConfigError, MissingExtra, PolicyFileError
from split_core.policy import ExitSection, PolicyFile
from split_core.policy_store import PolicyStore


@pytest.fixture
def policy_path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    policies.save(PolicyFile(bundle_id="a" * 64, exits=(ExitSection(),) * 2), path)
    return path


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, Path]:
    """A public key in hex, and the file of its secret."""
    pytest.importorskip("cryptography")
    from split_core.signing import make_signing_keys

    public, secret = make_signing_keys(tmp_path / "keys", "owner")
    return public.read_text().strip(), secret


def signed(path: Path, secret: Path) -> None:
    assert main(["policy", "sign", str(path), "--key", str(secret)]) == 0


def test_a_signed_file_is_taken_and_its_id_stays(policy_path: Path, keys):
    public, secret = keys
    before = policies.load(policy_path)
    signed(policy_path, secret)
    assert policies.load(policy_path, [public]) == before
    assert policies.load(policy_path).id == before.id  # where no keys are configured, too


def test_an_unsigned_file_is_refused_where_keys_are_configured(policy_path: Path, keys):
    with pytest.raises(PolicyFileError, match="not signed"):
        policies.load(policy_path, [keys[0]])


def test_a_change_takes_the_signature_away(policy_path: Path, keys):
    public, secret = keys
    signed(policy_path, secret)
    assert main(["policy", "set", str(policy_path), "objective.mu=0.5"]) == 0
    with pytest.raises(PolicyFileError, match="not signed"):
        policies.load(policy_path, [public])


def test_a_signature_of_another_file_is_refused(policy_path: Path, keys):
    public, secret = keys
    from split_core.signing import sign

    policies.save(policies.load(policy_path), policy_path, sign("0" * 64, secret))
    with pytest.raises(PolicyFileError, match="the signature is not of this content"):
        policies.load(policy_path, [public])


def test_a_stranger_may_not_sign(policy_path: Path, keys, tmp_path: Path):
    from split_core.signing import make_signing_keys

    signed(policy_path, make_signing_keys(tmp_path / "keys", "stranger")[1])
    with pytest.raises(PolicyFileError, match="none of the 1 keys trusted here"):
        policies.load(policy_path, [keys[0]])


def test_altered_content_is_refused_before_the_signature_matters(policy_path: Path, keys):
    public, secret = keys
    signed(policy_path, secret)
    policy_path.write_text(policy_path.read_text().replace("mu: 0.01", "mu: 0.5"))
    with pytest.raises(PolicyFileError, match="content hashes to"):
        policies.load(policy_path, [public])


@pytest.mark.parametrize("text", ["zz", "", "a" * 64, "a" * 64 + " " + "b" * 128, "a" * 64 + " xyz"])
def test_garbage_is_no_signature(policy_path: Path, keys, text: str):
    policies.save(policies.load(policy_path), policy_path, text)
    with pytest.raises(PolicyFileError):
        policies.load(policy_path, [keys[0]])


def test_a_store_with_keys_takes_in_only_what_is_signed(policy_path: Path, keys, tmp_path: Path):
    public, secret = keys
    store = PolicyStore(tmp_path / "store", [public])
    with pytest.raises(PolicyFileError, match="not signed"):
        store.add(policy_path)
    signed(policy_path, secret)
    name = store.add(policy_path)
    assert store.promote("active").name == name


def test_keys_are_made_once_and_the_secret_is_private(tmp_path: Path, capsys):
    pytest.importorskip("cryptography")
    assert main(["keys", str(tmp_path), "--name", "owner", "--signing", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert stat.S_IMODE(Path(made["secret"]).stat().st_mode) == 0o600
    assert len(Path(made["public"]).read_text().strip()) == 64
    assert main(["keys", str(tmp_path), "--name", "owner", "--signing"]) == ConfigError.exit_code


def test_no_key_is_one_line(policy_path: Path, tmp_path: Path, capsys):
    pytest.importorskip("cryptography")
    (tmp_path / "bad").write_text("nonsense")
    for key in (tmp_path / "bad", tmp_path / "absent"):
        assert main(["policy", "sign", str(policy_path), "--key", str(key)]) == ConfigError.exit_code
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_without_the_library_the_extra_is_named(policy_path: Path, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "split_core.signing", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(MissingExtra, match=r"offramp\[sign\]"):
        policies.load(policy_path, ["a" * 64])
