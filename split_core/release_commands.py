"""`offramp release VERB ...`: bundle, policy and profile as one, from a candidate to what devices run, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from split_core.errors import ConfigError, ReleaseError
from split_core.registry import suggestion
from split_core.release import Held
from split_core.release_store import STATES, ReleaseStore


@dataclass(frozen=True)
class Request:
    """What was written on the command line, behind the verb; options as in `release_command`."""

    path: Path
    name: str
    bundle: Path | None
    policy: Path | None
    profile: Path | None
    key: Path | None
    signers: tuple[str, ...]
    to: str
    why: str

    def store(self) -> ReleaseStore:
        """The folder that was named.

        Raises:
            ReleaseError: there is none.
        """
        if not self.path.is_dir():
            raise ReleaseError(f"{self.path}: no such store; 'offramp release add STORE ...' makes one")
        return ReleaseStore(self.path, self.signers)


Told = tuple[Any, str]  # for machines, for people


def release_command(
    verb: Annotated[str, typer.Argument(help="show, check, add, promote, rollback, refuse or history")],
    path: Annotated[Path, typer.Argument(metavar="STORE", help="A folder of releases.")],
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="check, promote: a version.")] = "",
    bundle: Annotated[Path | None, typer.Option(help="add: folder with manifest.json.")] = None,
    policy: Annotated[Path | None, typer.Option(help="add: its policy file.")] = None,
    profile: Annotated[Path | None, typer.Option(help="add: its profile, of the devices that it is for.")] = None,
    key: Annotated[Path | None, typer.Option(help="add: the .sign_secret file to sign with.")] = None,
    signers: Annotated[
        list[str] | None, typer.Option("--signer", help="Public key in hex: take only what it has signed.")
    ] = None,
    to: Annotated[str, typer.Option(help="promote: trial or active; by default the next state.")] = "",
    why: Annotated[str, typer.Option(help="refuse: for the history.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")] = False,
) -> None:
    """Make releases of bundle, policy and profile; put them on trial, promote them and roll them back.

    offramp release add releases --bundle bundles/door/2 --policy policy.yaml --profile door.yaml --key me.sign_secret
    A running camera whose `releases.store` it is tries what is on trial; others pull it from where it is served.
    """
    if verb not in VERBS:
        raise ConfigError(f"no verb {verb!r}{suggestion(verb, list(VERBS))}; there are: {', '.join(VERBS)}")
    request = Request(path, name, bundle, policy, profile, key, tuple(signers or ()), to, why)
    for_machines, for_people = VERBS[verb](request)
    print(json.dumps(for_machines) if as_json else for_people)


def show(request: Request) -> Told:
    """Where the pointers are, and what versions there are."""
    store = request.store()
    pointers = {state: store.pointer(state) for state in STATES}
    lines = [f"{state:<10} {name or '-'}" for state, name in pointers.items()]
    return {**pointers, "versions": store.versions()}, "\n".join([*lines, "", *store.versions()])


def check(request: Request) -> Told:
    """One version, or the candidate, the one on trial and the active one: every hash, and the signature."""
    store = request.store()
    names = [request.name] if request.name else [name for name in map(store.pointer, STATES) if name]
    found = {name: store.load(name) for name in names}
    passed = "content and signature" if request.signers else "content"
    lines = [f"{name}: bundle {one.bundle_id[:12]}, policy {one.policy_id[:12]}" for name, one in found.items()]
    facts = {name: one.model_dump(mode="json", exclude={"files"}) for name, one in found.items()}
    return facts, "\n".join([*lines, f"{len(lines)} releases: {passed} as it should be"])


def add(request: Request) -> Told:
    """A bundle with its policy and its profile into the store, as its candidate."""
    if not (request.bundle and request.policy and request.profile):
        raise ConfigError("expected: release add STORE --bundle FOLDER --policy FILE --profile FILE [--key FILE]")
    held = Held(request.bundle, request.policy, request.profile)
    name = ReleaseStore(request.path, request.signers).add(held, request.key)
    return {"name": name}, f"{request.path}: {name} is the candidate{'' if request.key else ', not signed'}"


def promote(request: Request) -> Told:
    """The next state."""
    if request.to not in ("", *STATES[1:]):
        raise ConfigError(f"--to {request.to!r}: expected {' or '.join(STATES[1:])}")
    entry = request.store().promote(request.to, request.name)
    return asdict(entry), f"{request.path}: {entry.name} is {entry.to}, before: {entry.was or 'none'}"


def rollback(request: Request) -> Told:
    """The release that was active before."""
    entry = request.store().rollback()
    return asdict(entry), f"{request.path}: {entry.name} is active again, before: {entry.was}"


def refuse(request: Request) -> Told:
    """No trial any more; a device that has switched goes back."""
    store = request.store()
    name = store.pointer("trial")
    entry = store.refuse(name, request.why or "by hand") if name else None
    if entry is None:
        raise ReleaseError(f"{request.path}: nothing is on trial; 'offramp release promote' puts a release there")
    return asdict(entry), f"{request.path}: {name} is not on trial any more"


def history(request: Request) -> Told:
    """Who did what, newest last."""
    entries = request.store().history()
    lines = [f"{e.at}  {e.who}  {e.what:<8}  {e.name}  {f'-> {e.to}' if e.to else ''}{e.why}" for e in entries]
    return [asdict(entry) for entry in entries], "\n".join(lines) or "nothing was done yet"


VERBS: dict[str, Callable[[Request], Told]] = {
    "show": show,
    "check": check,
    "add": add,
    "promote": promote,
    "rollback": rollback,
    "refuse": refuse,
    "history": history,
}
