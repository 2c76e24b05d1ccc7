"""A release: a bundle with the policy and the profile that are bound to it; a device changes all three or none.

    release.json               what it holds: every file with its SHA-256 and size, its id, and who signed that
    bundle/manifest.json ...
    policy.yaml                and the arrays of its criterion, when it has any
    profile.yaml

The id is the SHA-256 of that list, so who signs it signs every byte.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.bundle import CERTIFICATE, MANIFEST, Bundle
from split_core.config import first_error
from split_core.errors import ReleaseError, reason
from split_core.files import canonical_json, sha256_of, sha256_of_file, write_atomically
from split_core.manifest import File
from split_core.policy import PolicyFile
from split_core.registry import resolve

FORMAT = 1
RELEASE, BUNDLE, POLICY, PROFILE = "release.json", "bundle", "policy.yaml", "profile.yaml"
MAX_FILES, MAX_LIST_BYTES = 10_000, 16 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,199}")


class Part(File):
    """A file of a release.  Its path has plain names only, whatever other names mean to the machine that writes it."""

    @field_validator("file")
    @classmethod
    def _has_plain_names(cls, value: str) -> str:
        parts = value.split("/")
        if len(parts) > 8 or value == RELEASE or not all(_PART.fullmatch(part) for part in parts):
            raise ValueError(f"path {value[:60]!r} is none that a release may have")
        return value


class Release(BaseModel):
    """What is signed.

    Attributes:
        number: of the version, in its store.
        bundle_id, policy_id: of what it holds.
        files: all but `release.json`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    number: int = Field(ge=1, lt=10**9)
    bundle_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    policy_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    files: tuple[Part, ...] = Field(min_length=4, max_length=MAX_FILES)

    @model_validator(mode="after")
    def _holds_three_things(self) -> Release:
        if self.format != FORMAT:
            raise ValueError(f"release format {self.format} is not the {FORMAT} that this version reads")
        names = {part.file for part in self.files}
        folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
        if len(names) < len(self.files) or names & folders:
            raise ValueError("a file is listed twice, or is the folder of another one")
        if missing := {f"{BUNDLE}/{MANIFEST}", f"{BUNDLE}/{CERTIFICATE}", POLICY, PROFILE} - names:
            raise ValueError(f"{', '.join(sorted(missing))}: not listed")
        return self

    @property
    def id(self) -> str:
        """SHA-256 of the content, in hex."""
        return sha256_of(canonical_json(self.model_dump(mode="json")))

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.number:04d}-{self.id[:12]}"

    @property
    def total_bytes(self) -> int:
        """Of all files."""
        return sum(part.bytes for part in self.files)


class Sealed(BaseModel):
    """`release.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    signature: str = ""
    release: Release


@dataclass(frozen=True, slots=True)
class Held:
    """The three things, as paths."""

    bundle: Path
    policy: Path
    profile: Path


def held_in(folder: Path) -> Held:
    """Where a release's three things are."""
    return Held(folder / BUNDLE, folder / POLICY, folder / PROFILE)


def parsed(data: bytes, signers: Sequence[str], where: str) -> Release:
    """What `release.json` says.

    Args:
        data: its content.
        signers: public keys in hex; when any are given, one of them must have signed it.
        where: it came from, for messages.

    Raises:
        ReleaseError: it is none, was altered, or is not signed as asked.
        MissingExtra: signatures shall be checked, and the library for it is not installed.
    """
    if len(data) > MAX_LIST_BYTES:
        raise ReleaseError(f"{where}: {len(data)} bytes are too many for a list of files")
    try:
        sealed = Sealed.model_validate_json(data)
    except ValidationError as error:
        raise ReleaseError(f"{where}: {first_error(error, Sealed)}; 'offramp release add' makes them") from error
    release = sealed.release
    if sealed.id != release.id:
        raise ReleaseError(f"{where}: content hashes to {release.id[:12]}, it says {sealed.id[:12]}; copy it again")
    if signers:
        check = resolve("split_core.signing:check_signed", "checking a release's signature", "sign")
        check(release.id, sealed.signature, signers, where, "release", ReleaseError)
    return release


def load(folder: Path, signers: Sequence[str] = ()) -> Release:
    """What a folder holds; its files are not looked at, see `check_files`.

    Raises:
        ReleaseError, MissingExtra: as `parsed`, or there is no such folder.
    """
    path = folder / RELEASE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{path}: cannot be read ({error.strerror}); expected a release's folder") from error
    return parsed(data, signers, str(path))


def check_files(folder: Path, release: Release) -> None:
    """Refuse a folder whose files are not those of the release.

    Raises:
        ReleaseError: one is missing, or has another hash.
    """
    for part in release.files:
        path = folder / part.file
        try:
            digest = sha256_of_file(path)
        except OSError as error:
            raise ReleaseError(f"{path}: cannot be read ({reason(error)}); copy the release again") from error
        if digest != part.sha256:
            raise ReleaseError(f"{path}: sha256 is {digest[:12]}, the release says {part.sha256[:12]}; copy it again")


@dataclass(frozen=True)
class Ingredients:
    """Three things that belong together, wherever they lie, for making a release of them."""

    bundle: Bundle
    policy: PolicyFile
    held: Held

    @staticmethod
    def of(held: Held) -> Ingredients:
        """Read and checked.

        Raises:
            ArtefactError: one is damaged, or they are not for each other.
        """
        bundle, policy = bundles.load(held.bundle), policies.load(held.policy)
        policy.check_bound_to(bundle.id, bundle.manifest.exits, str(held.policy))
        policy.reader(held.policy.parent)
        profiles.load(held.profile).check_bound_to(bundle.id, str(held.profile))
        return Ingredients(bundle, policy, held)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Where each file of the release comes from, by its path there."""
        manifest = self.bundle.manifest
        inside = [*manifest.all_pieces(), *manifest.weights(), *([manifest.tokeniser] if manifest.tokeniser else [])]
        for name in dict.fromkeys([MANIFEST, CERTIFICATE, *(file.file for file in inside)]):
            yield f"{BUNDLE}/{name}", self.held.bundle / name
        yield POLICY, self.held.policy
        yield PROFILE, self.held.profile
        if self.policy.criterion_arrays:
            arrays = self.policy.criterion_arrays.file
            yield arrays, self.held.policy.parent / arrays

    def release(self, number: int) -> Release:
        """What is to be signed.

        Raises:
            ReleaseError: a file has a path that a release may not have.
        """
        parts = [(name, sha256_of_file(path), path.stat().st_size) for name, path in self.files()]
        content = {
            "number": number,
            "bundle_id": self.bundle.id,
            "policy_id": self.policy.id,
            "files": [{"file": name, "sha256": digest, "bytes": size} for name, digest, size in parts],
        }
        try:
            return Release.model_validate(content)
        except ValidationError as error:
            raise ReleaseError(f"{self.held.bundle}: {first_error(error, Release)}") from error

    def write(self, folder: Path, release: Release, signature: str) -> None:
        """Every file, the list last.

        Raises:
            OSError: the disk refuses.
        """
        for name, path in self.files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        sealed = Sealed(id=release.id, signature=signature, release=release)
        write_atomically(folder / RELEASE, sealed.model_dump_json(indent=1).encode())
