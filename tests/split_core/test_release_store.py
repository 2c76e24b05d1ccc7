from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core import release as releases
from split_core.cli import main
from split_core.errors import ArtefactError, ReleaseError
from split_core.policy import ExitSection, PolicyFile
from split_core.release import Held, Part, Release
from split_core.release_store import ReleaseStore
from tests.edge_runtime.world import profile


class Workshop:
    """A bundle, and policies and profiles for it, of which releases are made."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder, self.bundle, self.made = folder, bundle, 0
        self.bundle_id = bundles.load(bundle).id
        profiles.save(profile(3, self.bundle_id), folder / "profile.yaml")

    def held(self, bundle_id: str = "") -> Held:
        self.made += 1
        policy = PolicyFile(version=self.made, bundle_id=bundle_id or self.bundle_id, exits=(ExitSection(),) * 3)
        policies.save(policy, self.folder / "new.yaml")
        return Held(self.bundle, self.folder / "new.yaml", self.folder / "profile.yaml")


@pytest.fixture
def workshop(tiny_bundle: Path, tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, tiny_bundle)


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "store", clock=lambda: "2026-11-24T12:00:00+00:00")


def test_a_release_is_tried_before_it_is_active(store: ReleaseStore, workshop: Workshop):
    name = store.add(workshop.held())
    assert name.startswith("0001-")
    assert store.promote().to == "trial"
    assert store.pointer("active") == ""
    assert store.promote().to == "active"
    assert [store.pointer(state) for state in ("candidate", "trial", "active")] == ["", "", name]
    held = releases.held_in(store.path("active"))
    assert bundles.load(held.bundle).id == workshop.bundle_id
    assert policies.load(held.policy).version == 1


def test_a_refused_trial_leaves_the_active_one_and_says_why(store: ReleaseStore, workshop: Workshop):
    first = store.add(workshop.held())
    store.promote("active")
    second = store.add(workshop.held())
    store.promote()
    assert store.refuse(first, "not on trial") is None
    assert store.refuse(second, "answers differently") is not None
    assert (store.pointer("trial"), store.pointer("active")) == ("", first)
    assert (store.history()[-1].what, store.history()[-1].why) == ("refuse", "answers differently")


def test_rollback_goes_back_and_a_trial_between_does_not_count(store: ReleaseStore, workshop: Workshop):
    first, second, third = (store.add(workshop.held()) for _ in range(3))
    store.promote("active", first)
    store.promote("active", second)
    store.promote("trial", third)
    store.refuse(third, "")
    assert store.rollback().name == first


def test_trials_that_were_begun_are_counted_until_it_is_promoted_again(store: ReleaseStore, workshop: Workshop):
    name = store.add(workshop.held())
    store.promote()
    assert [store.begin(name), store.begin(name)] == [1, 2]
    store.refuse(name, "")
    store.promote("trial", name)
    assert store.begin(name) == 1


@pytest.mark.parametrize("file", ["bundle/segments/segment_1.onnx", "bundle/certificate.json", "policy.yaml"])
def test_a_changed_file_is_refused_and_nothing_moves(store: ReleaseStore, workshop: Workshop, file: str):
    name = store.add(workshop.held())
    with (store.folder / name / file).open("ab") as damaged:
        damaged.write(b" ")
    with pytest.raises(ReleaseError, match=rf"{file}: sha256 is"):
        store.promote()
    assert store.pointer("trial") == ""


def test_a_changed_list_and_a_folder_of_another_name_are_refused(store: ReleaseStore, workshop: Workshop):
    name, other = store.add(workshop.held()), store.add(workshop.held())
    shutil.rmtree(store.folder / name)
    shutil.copytree(store.folder / other, store.folder / name)
    with pytest.raises(ReleaseError, match=f"holds {other}"):
        store.load(name)
    path = store.folder / other / "release.json"
    document = json.loads(path.read_text())
    document["release"]["number"] = 7
    path.write_text(json.dumps(document))
    with pytest.raises(ReleaseError, match="content hashes to"):
        store.load(other)


def test_what_does_not_belong_together_makes_no_release(store: ReleaseStore, workshop: Workshop):
    with pytest.raises(ArtefactError, match="made for bundle bbbbbbbbbbbb"):
        store.add(workshop.held("b" * 64))
    assert not store.folder.exists()


def test_unsigned_and_strangers_releases_are_refused_where_keys_are_given(workshop: Workshop, tmp_path: Path):
    pytest.importorskip("cryptography")
    from split_core.signing import make_signing_keys, sign

    public, secret = make_signing_keys(tmp_path / "keys", "owner")
    stranger = make_signing_keys(tmp_path / "keys", "stranger")[1]
    store = ReleaseStore(tmp_path / "store", [public.read_text()])
    signed = store.add(workshop.held(), secret)
    assert store.load(signed).number == 1
    for key, why in ((None, "not signed"), (stranger, "none of the 1 keys")):
        name = store.add(workshop.held(), key)
        with pytest.raises(ReleaseError, match=why):
            store.load(name)
    path = store.folder / name / "release.json"
    document = json.loads(path.read_text())
    document["signature"] = sign(document["id"], secret, "policy")  # of the same id, and for another purpose
    path.write_text(json.dumps(document))
    with pytest.raises(ReleaseError, match="not of this content"):
        store.load(name)


def test_a_folder_that_came_from_elsewhere_becomes_a_version_whole_or_not_at_all(
    store: ReleaseStore, workshop: Workshop, tmp_path: Path
):
    elsewhere = ReleaseStore(tmp_path / "elsewhere")
    name = elsewhere.add(workshop.held())
    store.folder.mkdir()
    come = store.folder / ".come"
    shutil.copytree(elsewhere.folder / name, come)
    (come / "policy.yaml").unlink()
    with pytest.raises(ReleaseError, match=r"policy\.yaml: cannot be read"):
        store.take(come, name)
    assert (store.versions(), store.pointer("trial")) == ([], "")
    shutil.copy(elsewhere.folder / name / "policy.yaml", come)
    store.take(come, name)
    assert (store.versions(), store.pointer("trial")) == ([name], name)


def test_old_versions_are_deleted_but_those_that_are_needed(store: ReleaseStore, workshop: Workshop):
    names = [store.add(workshop.held()) for _ in range(5)]
    for name in names[:3]:
        store.promote("active", name)
    assert store.prune(keep=1) == [names[0], names[3]]
    assert store.versions() == [names[1], names[2], names[4]]
    assert store.rollback().name == names[1]


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../b", "a//b", ".x", "a/.x", "a\\b", "a\0b", "", "release.json", "a/" * 9 + "b"]
)
def test_paths_that_lead_elsewhere_are_none(path: str):
    with pytest.raises(ValidationError):
        Part(file=path, sha256="0" * 64, bytes=1)


@given(st.text(max_size=40))
def test_whatever_a_path_says_it_stays_below_its_folder(path: str):
    try:
        part = Part(file=path, sha256="0" * 64, bytes=1)
    except ValidationError:
        return
    assert Path("/store/x").joinpath(part.file).resolve().is_relative_to("/store/x")


def test_a_file_that_is_a_folder_of_another_and_one_listed_twice_are_refused():
    needed = ["bundle/manifest.json", "bundle/certificate.json", "policy.yaml", "profile.yaml"]

    def listed(*names: str) -> Release:
        files = [{"file": name, "sha256": "0" * 64, "bytes": 1} for name in names]
        return Release.model_validate({"number": 1, "bundle_id": "a" * 64, "policy_id": "b" * 64, "files": files})

    assert listed(*needed).total_bytes == 4
    for wrong in (["policy.yaml"], ["policy.yaml/x"]):
        with pytest.raises(ValidationError, match="listed twice, or is the folder"):
            listed(*needed, *wrong)
    with pytest.raises(ValidationError, match=r"profile\.yaml: not listed"):
        listed(*needed[:3], "x")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_of_files_or_a_release_error(data: bytes):
    with pytest.raises(ReleaseError):
        releases.parsed(data, (), "release.json")


def test_the_command_takes_a_release_from_candidate_to_active_and_back(workshop: Workshop, tmp_path: Path, capsys):
    store = str(tmp_path / "store")

    def say(*words: str) -> str:
        assert main(["release", words[0], store, *words[1:]]) == 0
        return capsys.readouterr().out

    for _ in range(2):
        held = workshop.held()
        made = say("add", "--bundle", str(held.bundle), "--policy", str(held.policy), "--profile", str(held.profile))
        assert "is the candidate, not signed" in made
        assert "is trial" in say("promote")
        assert "is active" in say("promote")
    assert "is active again" in say("rollback")
    assert "candidate  -" in say("show")
    assert "bundle " + workshop.bundle_id[:12] in say("check")
    assert [entry["what"] for entry in json.loads(say("history", "--json"))] == ["add", "promote", "promote"] * 2 + [
        "rollback"
    ]
    assert main(["release", "refuse", store]) == ReleaseError.exit_code
    assert "nothing is on trial" in capsys.readouterr().err
