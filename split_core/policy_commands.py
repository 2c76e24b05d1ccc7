"""`offramp policy VERB ...`: from a candidate to the policy that a running camera follows, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles, traces
from split_core.config import parsed
from split_core.errors import ConfigError, PolicyFileError
from split_core.policy import OPTIONAL, PolicyFile
from split_core.policy_reports import shadow_report
from split_core.policy_state import read_states, told
from split_core.policy_store import PolicyStore, policy_path
from split_core.registry import resolve, suggestion


@dataclass(frozen=True)
class Request:
    """What was written on the command line, behind the verb; options as in `policy_command`."""

    path: Path
    more: tuple[str, ...]
    bundle: Path | None
    profile: Path | None
    trace: Path | None
    key: Path | None
    signers: tuple[str, ...]
    to: str
    state: Path | None = None
    costs: Path | None = None
    weight: float = 32.0
    out: Path | None = None

    @property
    def bundle_id(self) -> str:
        """Of the bundle that was named; empty when none was."""
        return bundles.load(self.bundle).id if self.bundle else ""

    def store(self) -> PolicyStore:
        """The folder that was named.

        Raises:
            PolicyFileError: there is none.
        """
        if not self.path.is_dir():
            raise PolicyFileError(f"{self.path}: no such store; 'offramp policy add STORE FILE' makes one")
        return PolicyStore(self.path, self.signers)

    def only(self, usage: str) -> str:
        """The one further argument.

        Raises:
            ConfigError: another number of them.
        """
        if len(self.more) != 1:
            raise ConfigError(f"expected: policy {usage}")
        return self.more[0]


Told = tuple[Any, str]  # for machines, for people


def policy_command(
    verb: Annotated[
        str,
        typer.Argument(
            help="show, diff, set, check, sign, add, promote, rollback, history, shadow-report, warm-start or "
            "source-threshold"
        ),
    ],
    path: Annotated[Path, typer.Argument(help="A policy file, a store (a folder of them), or a decision log.")],
    more: Annotated[
        list[str] | None,
        typer.Argument(
            help="diff: another file; set: key=value ...; add: a file; promote: a version; shadow-report: older logs; "
            "warm-start: what other cameras keep"
        ),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="check, promote, rollback: the bundle it must be for.")] = None,
    profile: Annotated[Path | None, typer.Option(help="check: the profile it will run with.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="check: the trace it was calibrated on; source-threshold: labelled source data.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="sign: the .sign_secret file.")] = None,
    signers: Annotated[
        list[str] | None, typer.Option("--signer", help="Public key in hex: take only what it has signed.")
    ] = None,
    to: Annotated[str, typer.Option(help="promote: shadow or active; by default the next state.")] = "",
    state: Annotated[Path | None, typer.Option(help="show: what a camera keeps ('state' in its file).")] = None,
    costs: Annotated[Path | None, typer.Option(help="source-threshold: costs as JSON.")] = None,
    weight: Annotated[float, typer.Option(help="warm-start: observations that the start may weigh.")] = 32.0,
    out: Annotated[Path | None, typer.Option(help="warm-start: the new camera's 'state'.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")] = False,
) -> None:
    """Show, compare, change, check and sign policy files; promote and roll back those of a store.

    `set` writes the file again with a new version and seal: offramp policy set p.yaml bandit.params.c=0.2
    A running camera whose `policy:` is the store follows promote and rollback without a restart.
    """
    if verb not in VERBS:
        raise ConfigError(f"no verb {verb!r}{suggestion(verb, list(VERBS))}; there are: {', '.join(VERBS)}")
    chosen = (bundle, profile, trace, key, tuple(signers or ()), to, state, costs, weight, out)
    request = Request(path, tuple(more or ()), *chosen)
    for_machines, for_people = VERBS[verb](request)
    print(json.dumps(for_machines) if as_json else for_people)


def show(request: Request) -> Told:
    """The file, or the active one of a store; and what a camera keeps: of which policies, and which are void."""
    path = policy_path(request.path)
    document, text = policies.load(path).model_dump(mode="json"), path.read_text(encoding="utf-8")
    if request.state is None:
        return document, text
    if not request.state.exists():
        raise PolicyFileError(f"{request.state}: no such file; expected what a camera's 'state' names")
    states = read_states(request.state)
    kept = "\n".join([f"# kept in {request.state}:", *(f"# {line}" for line in told(states) or ["nothing"])])
    return {**document, "kept": [one.summary() for one in states]}, f"{text}{kept}"


def diff(request: Request) -> Told:
    """Changed values, one a line."""
    other = Path(request.only("diff FILE OTHER"))
    files = (policies.load(policy_path(path)) for path in (request.path, other))
    lines = policies.differences(*files)
    return lines, "\n".join(lines) or "no difference"


def set_values(request: Request) -> Told:
    """A changed file, sealed again."""
    path = request.path
    if not request.more:
        raise ConfigError("expected: policy set FILE key=value ...")
    if path.is_dir():
        raise ConfigError(f"{path}: versions of a store never change; set a copy and 'offramp policy add' it")
    changed = change(policies.load(path), list(request.more))
    policies.save(changed, path)
    return {"id": changed.id}, f"{path}: version {changed.version}, id {changed.id[:12]}"


def check(request: Request) -> Told:
    """Everything that can be checked of a file before it is used."""
    path = policy_path(request.path)
    policy = policies.load(path, request.signers)
    passed = ["content", *(["signature"] if request.signers else [])]
    if request.bundle:
        bundle = bundles.load(request.bundle)
        policy.check_bound_to(bundle.id, bundle.manifest.exits, str(path))
        passed.append("bundle")
    if request.profile:
        measured = profiles.load(request.profile)
        measured.check_bound_to(policy.bundle_id, str(request.profile), measured.precision)
        passed.append("profile")
    if request.trace:
        _check_data(policy, request.trace, path)
        passed.append("data")
    return {"id": policy.id, "passed": passed}, f"{path}: {', '.join(passed)} as it should be"


def _check_data(policy: PolicyFile, trace: Path, where: Path) -> None:
    digest, expected = traces.load(trace).digest(), policy.evidence.data_sha256
    if digest != expected:
        raise PolicyFileError(f"{where}: calibrated on data {expected[:12]}, {trace} is {digest[:12]}")


def sign(request: Request) -> Told:
    """The same file, signed."""
    if request.path.is_dir():
        raise ConfigError(f"{request.path}: versions of a store never change; sign a copy and 'offramp policy add' it")
    if request.key is None:
        raise ConfigError(
            "expected: policy sign FILE --key NAME.sign_secret; make a pair with 'offramp keys --signing'"
        )
    policy = policies.load(request.path)
    signature = resolve("split_core.signing:sign", "signing a policy", "sign")(policy.id, request.key)
    policies.save(policy, request.path, signature)
    signer = signature.partition(" ")[0]
    return {"id": policy.id, "signer": signer}, f"{request.path}: signed by {signer}"


def add(request: Request) -> Told:
    """A file into the store, as its candidate."""
    name = PolicyStore(request.path, request.signers).add(Path(request.only("add STORE FILE")))
    return {"name": name}, f"{request.path}: {name} is the candidate"


def promote(request: Request) -> Told:
    """The next state."""
    if request.to not in ("", "shadow", "active"):
        raise ConfigError(f"--to {request.to!r}: expected shadow or active")
    name = request.only("promote STORE [NAME]") if request.more else ""
    entry = request.store().promote(request.to, name, request.bundle_id)
    return asdict(entry), f"{request.path}: {entry.name} is {entry.to}, before: {entry.was or 'none'}"


def rollback(request: Request) -> Told:
    """The policy that was active before."""
    entry = request.store().rollback(request.bundle_id)
    return asdict(entry), f"{request.path}: {entry.name} is active again, before: {entry.was}"


def history(request: Request) -> Told:
    """Who did what, newest last; and where the pointers are."""
    entries = request.store().history()
    lines = [f"{e.at}  {e.who}  {e.what:<8}  {e.name}  -> {e.to}" for e in entries]
    return [asdict(entry) for entry in entries], "\n".join(lines) or "nothing was done yet"


def report(request: Request) -> Told:
    """What the policies in the shadow would have done, from a camera's decision log and older ones."""
    return shadow_report([request.path, *map(Path, request.more)])


def warm_start(request: Request) -> Told:
    """A start for a new camera, from what others have learned under the same policy."""
    verb = resolve("bandits.policy_verbs:warm_start_file", "a warm start")
    told: Told = verb(request.path, request.more, request.weight, request.out)
    return told


def source_threshold(request: Request) -> Told:
    """The file with the best threshold of labelled source data as its bandit."""
    verb = resolve("bandits.policy_verbs:source_threshold_file", "a threshold from source data")
    told: Told = verb(request.path, request.trace, request.costs)
    return told


def change(policy: PolicyFile, items: list[str]) -> PolicyFile:
    """The policy with `key=value` items changed and its version raised.

    Raises:
        ConfigError: an unknown key or a bad value.
    """
    document = policy.model_dump(mode="json")
    if _renames_bandit(policy, items):
        document["bandit"]["params"] = {}  # one bandit's parameters say nothing to another
    for item in items:
        key, equals, value = item.partition("=")
        *sections, last = key.split(".")
        target: Any = document
        if sections and sections[0] in OPTIONAL:
            document.setdefault(sections[0], {})
        for section in sections:
            target = target.get(section) if isinstance(target, dict) else None
        if not equals or not isinstance(target, dict):
            raise ConfigError(f"{item!r}: expected key=value with a key of the policy, for example objective.mu=0.02")
        target[last] = yaml.safe_load(value)
    document["version"] = policy.version + 1
    return parsed(document, PolicyFile, "policy")


def _renames_bandit(policy: PolicyFile, items: list[str]) -> bool:
    names = [value for key, _, value in (item.partition("=") for item in items) if key == "bandit.name"]
    return bool(names) and names[-1] != policy.bandit.name


VERBS: dict[str, Callable[[Request], Told]] = {
    "show": show,
    "diff": diff,
    "set": set_values,
    "check": check,
    "sign": sign,
    "add": add,
    "promote": promote,
    "rollback": rollback,
    "history": history,
    "shadow-report": report,
    "warm-start": warm_start,
    "source-threshold": source_threshold,
}
