from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from split_core import bundle
from split_core.bundle import CERTIFICATE, MANIFEST
from split_core.errors import BundleError, CertificateError
from split_core.files import canonical_json, sha256_of
from split_core.manifest import Manifest


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def reseal(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest as somebody would who knows how ids are made."""

    def change_and_sign(document: dict[str, Any]) -> None:
        change(document["manifest"])
        document["id"] = sha256_of(canonical_json(document["manifest"]))

    edit(root / MANIFEST, change_and_sign)


def certify(root: Path, certificate: object) -> None:
    proof = certificate if isinstance(certificate, bytes) else json.dumps(certificate).encode()
    (root / CERTIFICATE).write_bytes(proof)
    edit(root / MANIFEST, lambda document: document.update(certificate_sha256=sha256_of(proof)))


def test_an_untouched_copy_loads_and_keeps_its_id(copy: Path, tiny_bundle: Path) -> None:
    loaded = bundle.load(copy)
    assert loaded.id == bundle.load(tiny_bundle).id == json.loads((copy / MANIFEST).read_text())["id"]
    assert all(sha256_of(loaded.content(piece)) == piece.sha256 for piece in loaded.manifest.pieces())


def test_one_changed_byte_in_any_piece_is_found(copy: Path) -> None:
    for piece in bundle.load(copy).manifest.pieces():
        path = copy / piece.file
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(BundleError, match=rf"{piece.file}.*manifest says.*copy the bundle again"):
            bundle.load(copy)
        path.write_bytes(before)


def test_a_missing_piece_is_named(copy: Path) -> None:
    piece = bundle.load(copy).manifest.segments[1]
    (copy / piece.file).unlink()
    with pytest.raises(BundleError, match=piece.file):
        bundle.load(copy)


def test_a_changed_manifest_no_longer_fits_its_id(copy: Path) -> None:
    edit(copy / MANIFEST, lambda document: document["manifest"].update(labels=["a", "b", "c", "d"]))
    with pytest.raises(BundleError, match="content hashes to"):
        bundle.load(copy)


def test_a_changed_id_no_longer_fits_the_manifest(copy: Path) -> None:
    edit(copy / MANIFEST, lambda document: document.update(id="0" * 64))
    with pytest.raises(BundleError, match="it says 000000000000"):
        bundle.load(copy)


def test_a_manifest_that_was_signed_again_lacks_a_certificate(copy: Path) -> None:
    reseal(copy, lambda manifest: manifest.update(labels=["a", "b", "c", "d"]))
    with pytest.raises(CertificateError, match="offramp verify"):
        bundle.load(copy)


@pytest.mark.parametrize("path", ["../outside.onnx", "/etc/passwd", "segments/../../x", "a\\b", "", "."])
def test_a_path_that_leaves_the_bundle_is_refused(copy: Path, path: str) -> None:
    reseal(copy, lambda manifest: manifest["segments"][0].update(file=path))
    with pytest.raises(BundleError, match="leaves the bundle"):
        bundle.load(copy)


def test_a_missing_certificate_says_what_to_run(copy: Path) -> None:
    (copy / CERTIFICATE).unlink()
    with pytest.raises(CertificateError, match=f"offramp verify {copy}"):
        bundle.load(copy)


def test_a_changed_certificate_is_found(copy: Path) -> None:
    edit(copy / CERTIFICATE, lambda certificate: certificate.update(passed="yes"))
    with pytest.raises(BundleError, match=CERTIFICATE):
        bundle.load(copy)


@pytest.mark.parametrize(
    "certificate",
    [{}, {"passed": False}, {"passed": 1}, {"passed": True, "bundle_id": "0" * 64}, [], "yes", None, b"\xff{"],
    ids=["empty", "failed", "nearly true", "of another bundle", "a list", "text", "null", "no JSON"],
)
def test_a_certificate_that_does_not_certify_this_bundle_is_refused(copy: Path, certificate: Any) -> None:
    if isinstance(certificate, dict):
        certificate = {"bundle_id": bundle.load(copy).id, **certificate}
    certify(copy, certificate)
    with pytest.raises(CertificateError, match="does not certify"):
        bundle.load(copy)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b'{"id": 1}', b"null"])
def test_what_is_no_manifest_is_a_bundle_error(copy: Path, content: bytes) -> None:
    (copy / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match="manifest"):
        bundle.load(copy)


def test_a_folder_without_manifest_asks_whether_it_is_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is this the folder with"):
        bundle.load(tmp_path)


def test_an_unknown_key_in_the_manifest_is_named(copy: Path) -> None:
    reseal(copy, lambda manifest: manifest.update(licence="MIT"))
    with pytest.raises(BundleError, match="licence: unknown key"):
        bundle.load(copy)


def test_segments_that_do_not_chain_are_refused(copy: Path) -> None:
    reseal(copy, lambda manifest: manifest["segments"].reverse())
    with pytest.raises(BundleError, match="segment"):
        bundle.load(copy)


def test_the_id_does_not_depend_on_the_certificate(copy: Path) -> None:
    before = bundle.load(copy)
    certify(copy, {**before.certificate, "machine": "another"})
    assert bundle.load(copy).id == before.id


def test_a_bundle_without_a_passing_certificate_is_not_written(copy: Path, tmp_path: Path) -> None:
    loaded = bundle.load(copy)
    for certificate in ({}, {"passed": True, "bundle_id": "other"}, {"passed": False, "bundle_id": loaded.id}):
        with pytest.raises(CertificateError, match="nothing was written"):
            bundle.write(tmp_path / "out", loaded.manifest, loaded.copy(), lambda _, said=certificate: said)
    assert not (tmp_path / "out").exists()


def test_writing_over_a_bundle_replaces_it_whole(copy: Path, tmp_path: Path) -> None:
    loaded = bundle.load(copy)
    root = bundle.write(tmp_path / "out", loaded.manifest, loaded.copy(), lambda written: loaded.certificate)
    (root / "left over").write_text("x")
    assert bundle.write(tmp_path / "out", loaded.manifest, loaded.copy(), lambda written: loaded.certificate) == root
    assert bundle.load(root).id == loaded.id
    assert not (root / "left over").exists()
    assert [path.name for path in (tmp_path / "out" / "tiny").iterdir()] == ["1"]


@pytest.mark.parametrize("name", ["", "../x", "a b", ".hidden", "a/b"])
def test_names_that_are_no_folder_names_are_refused(copy: Path, name: str) -> None:
    document = json.loads((copy / MANIFEST).read_text())["manifest"]
    with pytest.raises(ValueError, match="name"):
        Manifest.model_validate({**document, "name": name})


def test_a_changed_copy_of_a_manifest_has_another_id(tiny_bundle: Path) -> None:
    manifest = bundle.load(tiny_bundle).manifest
    assert manifest.model_copy(update={"version": "2"}).id != manifest.id
