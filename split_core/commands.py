"""Small commands that belong to no side: `offramp keys`, `offramp link`, `offramp policy`."""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from split_core import policy as policies
from split_core.config import parsed
from split_core.errors import ConfigError
from split_core.policy import PolicyFile
from split_core.transport.keys import make_keys
from split_core.transport.shaped import Link, Relay

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]


def keys(
    folder: Annotated[Path, typer.Argument(help="Where to write NAME.key (public) and NAME.key_secret.")],
    name: Annotated[str, typer.Option(help="Whose keys: worker, or a camera's name.")] = "worker",
    as_json: AsJson = False,
) -> None:
    """Make a pair of CURVE keys.  Cameras get the worker's .key; nobody else gets a .key_secret."""
    public, secret = make_keys(folder, name)
    if as_json:
        print(json.dumps({"public": str(public), "secret": str(secret)}))
    else:
        Console().print(f"wrote {public} (give it to the other side) and {secret} (keep it)")


def link(
    to: Annotated[str, typer.Option(help="The worker: tcp://host:port.")],
    port: Annotated[int, typer.Option(help="Where cameras connect to; 0 takes a free one.")] = 0,
    rate_mbit: Annotated[float, typer.Option("--rate", help="Mbit/s per direction; 0 is unlimited.", min=0)] = 0.0,
    delay_ms: Annotated[float, typer.Option("--delay", help="Milliseconds one way.", min=0)] = 0.0,
) -> None:
    """Put a slow link between a camera and a worker, without root.

    Prints its address.  Each line on standard input, such as {"black_hole": true} or {"rate_mbit": 1},
    changes the link.
    """
    relay = Relay(to, Link(rate_mbit, delay_ms), port=port)
    print(json.dumps({"address": relay.address}), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: relay.stop())
    threading.Thread(target=_obey, args=(relay,), daemon=True).start()
    relay.run()


def _obey(relay: Relay) -> None:
    for line in sys.stdin:
        try:
            relay.link = replace(relay.link, **json.loads(line))
            print(line.strip(), flush=True)
        except (ValueError, TypeError) as error:
            print(f"offramp link: {line.strip()!r} is no change of a link ({error})", file=sys.stderr, flush=True)


def policy_command(
    action: Annotated[str, typer.Argument(help="show, diff or set")],
    path: Annotated[Path, typer.Argument(help="A policy file.")],
    more: Annotated[list[str] | None, typer.Argument(help="diff: another file; set: key=value ...")] = None,
    as_json: AsJson = False,
) -> None:
    """Show, compare or change a policy file.

    `set` writes the file again with a new version and seal: offramp policy set p.yaml bandit.params.c=0.2
    """
    if action == "show":
        shown = policies.load(path)
        print(json.dumps(shown.model_dump(mode="json")) if as_json else path.read_text(encoding="utf-8"))
    elif action == "diff" and more and len(more) == 1:
        lines = policies.differences(policies.load(path), policies.load(Path(more[0])))
        print(json.dumps(lines) if as_json else "\n".join(lines) or "no difference")
    elif action == "set" and more:
        changed = change(policies.load(path), more)
        policies.save(changed, path)
        print(json.dumps({"id": changed.id}) if as_json else f"{path}: version {changed.version}, id {changed.id[:12]}")
    else:
        raise ConfigError("expected: policy show FILE | policy diff FILE OTHER | policy set FILE key=value ...")


def change(policy: PolicyFile, items: list[str]) -> PolicyFile:
    """The policy with `key=value` items changed and its version raised.

    Raises:
        ConfigError: an unknown key or a bad value.
    """
    document = policy.model_dump(mode="json")
    for item in items:
        key, equals, value = item.partition("=")
        *sections, last = key.split(".")
        target: Any = document
        for section in sections:
            target = target.get(section) if isinstance(target, dict) else None
        if not equals or not isinstance(target, dict):
            raise ConfigError(f"{item!r}: expected key=value with a key of the policy, for example objective.mu=0.02")
        target[last] = yaml.safe_load(value)
    document["version"] = policy.version + 1
    return parsed(document, PolicyFile, "policy")
