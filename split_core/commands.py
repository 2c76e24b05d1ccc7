"""Small commands that belong to no side: `offramp keys`, `offramp link`."""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from split_core.registry import resolve
from split_core.transport.keys import make_keys
from split_core.transport.shaped import Link, Relay

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]


def keys(
    folder: Annotated[Path, typer.Argument(help="Where to write NAME.key (public) and NAME.key_secret.")],
    name: Annotated[str, typer.Option(help="Whose keys: worker, or a camera's name; or who signs.")] = "worker",
    signing: Annotated[
        bool, typer.Option("--signing", help="A pair for policies and releases: NAME.sign, .sign_secret.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a pair of CURVE keys.  Cameras get the worker's .key; nobody else gets a .key_secret.

    With --signing, a pair of Ed25519 keys for policy files and releases; the public one goes into a camera's
    `policy_keys` or `releases.keys`.
    """
    if signing:
        public, secret = resolve("split_core.signing:make_signing_keys", "offramp keys --signing", "sign")(folder, name)
    else:
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
