"""Releases are brought over HTTP from a real server, which is not always a good one."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_runtime.releases.download import Web
from edge_runtime.releases.pull import INCOMING, SPARE_BYTES, Puller
from edge_runtime.releases.section import ReleasesSection
from split_core.errors import ReleaseError
from split_core.release import Part, Release
from split_core.release_store import ReleaseStore
from tests.release_server import FolderServer
from tests.release_world import AT_EXIT_1, WHOLE, Workshop

SEGMENT = "bundle/segments/segment_3.onnx"


class Fleet:
    """A workshop that is served, and the store of one device."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.workshop, self.bundle = Workshop(folder), bundle
        self.store = ReleaseStore(folder / "device")
        self.release()
        self.server = FolderServer(self.workshop.store.folder)

    def release(self, **more: Any) -> str:
        """One more, active there."""
        name = self.workshop.add(self.bundle, AT_EXIT_1 if self.workshop.made % 2 else WHOLE, **more)
        self.workshop.store.promote("active")
        return name

    def puller(self, **changes: Any) -> Puller:
        settings = {"signers": (), "url": self.server.url, "web": Web(), "most_bytes": 10_000_000, "keep": 2, **changes}
        return Puller(self.store, **settings)

    @property
    def active(self) -> str:
        return self.workshop.store.pointer("active")


@pytest.fixture
def fleet(tmp_path: Path, tiny_bundle: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path, tiny_bundle)
    yield made
    made.server.close()


def test_what_is_active_there_is_on_trial_here_and_is_asked_for_once(fleet: Fleet):
    puller = fleet.puller()
    assert puller.look() == fleet.active
    assert fleet.store.pointer("trial") == fleet.active
    assert fleet.store.load(fleet.active).name == fleet.active
    asked = len(fleet.server.asked)
    assert puller.look() == ""
    assert fleet.server.asked[asked:] == [("active", "", 304)]
    assert fleet.puller().look() == ""  # after a restart, too
    assert list((fleet.store.folder / INCOMING).iterdir()) == []


def test_a_transfer_that_breaks_off_leaves_nothing_half_and_goes_on_where_it_ended(fleet: Fleet):
    path = f"{fleet.active}/{SEGMENT}"
    fleet.server.cut_at[path] = 100
    puller = fleet.puller()
    with pytest.raises(ReleaseError, match="cut off after 100 of"):
        puller.look()
    assert (fleet.store.versions(), fleet.store.pointer("trial")) == ([], "")
    before = fleet.server.paths()
    assert fleet.puller().look() == fleet.active
    again = fleet.server.asked[len(before) :]
    assert (path, "bytes=100-", 206) in again
    finished = {one for one in before if one != path and "/" in one and not one.endswith("release.json")}
    assert finished
    assert not finished & {one for one, _, _ in again}


def test_a_server_without_ranges_sends_all_again(fleet: Fleet):
    fleet.server.cut_at[f"{fleet.active}/{SEGMENT}"] = 100
    fleet.server.ranges = False
    with pytest.raises(ReleaseError, match="cut off"):
        fleet.puller().look()
    assert fleet.puller().look() == fleet.active


def test_files_that_an_older_release_has_are_not_sent_again(fleet: Fleet):
    fleet.puller().look()
    first = len(fleet.server.asked)
    name = fleet.release()
    assert fleet.puller().look() == name
    sent = [path.partition("/")[2] for path in fleet.server.paths()[first:] if "/" in path]
    assert sent == ["release.json", "policy.yaml"]
    fleet.store.load(name)


def test_a_file_that_is_another_one_is_refused(fleet: Fleet):
    path = f"{fleet.active}/{SEGMENT}"
    whole = (fleet.workshop.store.folder / path).read_bytes()
    fleet.server.instead[path] = whole[:-1] + b"\0"
    with pytest.raises(ReleaseError, match=r"segment_3.onnx: sha256 is"):
        fleet.puller().look()
    fleet.server.instead[path] = whole + b"\0"
    with pytest.raises(ReleaseError, match=f"longer than {len(whole)} bytes"):
        fleet.puller().look()
    del fleet.server.instead[path]
    assert fleet.puller().look() == fleet.active


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("active", b"../../etc/passwd", "expected the name of a version"),
        ("active", b"x" * 5000, "longer than 100 bytes"),
        ("active", b"\xff\xfe", "expected the name of a version"),
        ("{name}/release.json", b"{}", "expected a value"),
        ("{name}/release.json", b"\0" * 100, "release.json"),
    ],
)
def test_nonsense_is_refused_in_one_line(fleet: Fleet, path: str, content: bytes, words: str):
    fleet.server.instead[path.format(name=fleet.active)] = content
    with pytest.raises(ReleaseError, match=words) as raised:
        fleet.puller().look()
    assert "\n" not in str(raised.value)
    assert fleet.store.versions() == []


def test_a_list_that_leads_elsewhere_is_refused_before_a_file_is_asked_for(fleet: Fleet):
    path = f"{fleet.active}/release.json"
    document = json.loads((fleet.workshop.store.folder / path).read_text())
    document["release"]["files"][0]["file"] = "../../../escaped"
    fleet.server.instead[path] = json.dumps(document).encode()
    with pytest.raises(ReleaseError, match="leaves the bundle"):
        fleet.puller().look()
    assert fleet.server.paths() == ["active", path]


def test_a_list_of_another_release_is_refused(fleet: Fleet):
    first = fleet.active
    fleet.release()
    fleet.server.instead[f"{fleet.active}/release.json"] = (
        fleet.workshop.store.folder / first / "release.json"
    ).read_bytes()
    with pytest.raises(ReleaseError, match=f"is that of {first}; expected {fleet.active}"):
        fleet.puller().look()


def test_where_keys_are_given_no_file_of_an_unsigned_release_is_asked_for(fleet: Fleet, tmp_path: Path):
    pytest.importorskip("cryptography")
    from split_core.signing import make_signing_keys

    public, secret = make_signing_keys(tmp_path / "keys", "owner")
    puller = fleet.puller(signers=(public.read_text().strip(),))
    with pytest.raises(ReleaseError, match="not signed"):
        puller.look()
    assert len(fleet.server.asked) == 2
    fleet.release(secret=secret)
    fleet.store = ReleaseStore(fleet.store.folder, (public.read_text().strip(),))
    assert fleet.puller(signers=(public.read_text().strip(),)).look() == fleet.active


def test_redirects_stay_within_http(fleet: Fleet):
    fleet.server.redirect["active"] = "file:///etc/passwd"
    with pytest.raises(ReleaseError, match="is not allowed"):
        fleet.puller().look()
    fleet.server.redirect["active"] = f"{fleet.server.url}/elsewhere"
    fleet.server.instead["elsewhere"] = fleet.active.encode()
    assert fleet.puller().look() == fleet.active


def test_a_server_that_is_away_or_has_nothing_is_one_line(fleet: Fleet):
    url = fleet.server.url
    with pytest.raises(ReleaseError, match="the server says 404"):
        fleet.puller(url=f"{url}/nowhere").look()
    with pytest.raises(ReleaseError, match="cannot be reached"):
        fleet.puller(url="http://127.0.0.1:9").look()


def test_a_release_that_is_too_large_is_not_begun(fleet: Fleet):
    with pytest.raises(ReleaseError, match="expected at most max_mb"):
        fleet.puller(most_bytes=100).look()
    with pytest.raises(ReleaseError, match="0 MB are free; make room"):
        fleet.puller(free_bytes=lambda _: SPARE_BYTES).look()
    assert not [path for path in fleet.server.paths() if path.endswith(".onnx")]


def test_a_disk_that_is_full_in_the_middle_keeps_nothing_of_it(fleet: Fleet):
    class FullDisk(Web):
        def save(self, url: str, path: Path, part: Part) -> None:
            if part.file == SEGMENT:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            super().save(url, path, part)

    with pytest.raises(OSError, match="No space left"):
        fleet.puller(web=FullDisk()).look()
    assert list((fleet.store.folder / INCOMING).iterdir()) == []
    assert fleet.puller().look() == fleet.active


def test_what_was_refused_here_is_not_tried_again_until_something_else_was_active_there(fleet: Fleet):
    first = fleet.active
    fleet.puller().look()
    fleet.store.promote("active")
    second = fleet.release()
    assert fleet.puller().look() == second
    fleet.store.refuse(second, "answers differently")
    assert fleet.puller().look() == ""
    fleet.workshop.store.rollback()
    assert (fleet.active, fleet.puller().look()) == (first, "")
    fleet.workshop.store.promote("active", second)
    assert fleet.puller().look() == second
    assert fleet.store.pointer("trial") == second


def test_old_versions_make_room_for_new_ones(fleet: Fleet):
    for _ in range(6):
        fleet.puller().look()
        fleet.store.promote("active")
        fleet.release()
    assert len(fleet.store.versions()) <= 4
    assert fleet.store.rollback().name in fleet.store.versions()


def test_a_transfer_ends_when_the_camera_does(fleet: Fleet):
    with pytest.raises(ReleaseError, match="the camera ends"):
        fleet.puller(web=Web(lambda: True)).look()


@given(st.text(max_size=30))
def test_only_http_addresses_can_be_written(url: str):
    try:
        section = ReleasesSection(store="x", unsigned=True, url=url)
    except ValidationError:
        return
    assert section.url.startswith(("http://", "https://")) or not section.url


def test_a_listed_release_says_how_large_it_is(fleet: Fleet):
    fleet.puller().look()
    release: Release = fleet.store.load(fleet.active)
    sizes = [(fleet.store.folder / fleet.active / part.file).stat().st_size for part in release.files]
    assert release.total_bytes == sum(sizes)
