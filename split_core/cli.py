"""`offramp`: a table of commands that are imported on use, so that `--help` costs nothing.

The one place besides the worker's engine that may catch everything: `main` turns `SplitError` into one
line and an exit code.  A bug of ours keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from split_core.errors import ArtefactError, ConfigError, SplitError, of_disk
from split_core.registry import resolve, suggestion


class Command(NamedTuple):
    """Where a command lives, which extra it needs, and what `offramp --help` says of it."""

    location: str
    extra: str
    help: str


COMMANDS = {
    "demo": Command(
        "split_core.demo.cli:demo", "partition,report", "Run the whole main job on embedded data, with a report."
    ),
    "doctor": Command("edge_runtime.cli:doctor", "", "Look whether this machine is fit to run, and say what to do."),
    "partition": Command("partitioner.cli:partition", "partition", "Cut a network into a certified bundle."),
    "verify": Command("partitioner.cli:verify", "partition", "Certify a bundle again, on this machine."),
    "train": Command("partitioner.train.cli:train", "partition", "Train the exits of a bundle; its network stays."),
    "train joint": Command(
        "partitioner.train.joint.cli:train_joint", "partition", "Train a torch module and all its exits at once."
    ),
    "calibrate": Command(
        "partitioner.calibrate.cli:calibrate", "partition", "Make a policy file from labelled samples."
    ),
    "trace": Command(
        "partitioner.calibrate.cli:trace", "partition", "Record what every exit says about labelled samples."
    ),
    "profile": Command("edge_runtime.cli:profile", "", "Measure what a bundle costs on this device."),
    "keys": Command("split_core.commands:keys", "", "Make a pair of CURVE keys."),
    "cloud": Command("cloud_runtime.cli:cloud", "", "Run an offload worker."),
    "edge run": Command("edge_runtime.cli:edge_run", "", "Run a camera."),
    "edge snapshot": Command("edge_runtime.cli:edge_snapshot", "", "Draw one frame, and why it was answered where."),
    "edge verify-log": Command("edge_runtime.cli:verify_log", "", "Look whether a camera's decision log is whole."),
    "link": Command("split_core.commands:link", "", "Put a slow link between a camera and a worker."),
    "replay": Command("bandits.cli:replay_command", "", "Play policies over a trace, with the trivial ones beside."),
    "policy": Command("split_core.policy_commands:policy_command", "", "Show, check, change, promote policy files."),
    "release": Command(
        "split_core.release_commands:release_command", "", "Bundle, policy and profile as one: try, promote, roll back."
    ),
    "report": Command("bandits.report.cli:report", "report", "Draw the report of a run as one HTML file."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code of `split_core.errors`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("--help", "-h"):
        print(overview())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"offramp {version('offramp')}")
        return 0
    name, *rest = [" ".join(words[:2]), *words[2:]] if " ".join(words[:2]) in COMMANDS else words
    if name not in COMMANDS:
        return no_such(name, rest)
    try:
        return run(name, rest)
    except SplitError as error:
        print(f"offramp {name}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:
        if not (said := of_disk(error)):
            raise
        print(f"offramp {name}: {said}", file=sys.stderr)
        return ArtefactError.exit_code
    except KeyboardInterrupt:
        return 130


def run(name: str, arguments: list[str]) -> int:
    """Import one command and run it.

    Raises:
        SplitError: whatever the command has to say in one line.
    """
    command = COMMANDS[name]
    function: Any = resolve(command.location, f"offramp {name}", command.extra)
    import typer

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(function)
    # Typer carries its own copy of click since 0.20, so the base of its usage errors has no stable address.
    usage_error: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
    try:
        code = typer.main.get_command(app).main(args=arguments, prog_name=f"offramp {name}", standalone_mode=False)
    except usage_error as error:
        raise ConfigError(f"{error.format_message()}  See 'offramp {name} --help'.") from error
    return code if isinstance(code, int) else 0


def no_such(name: str, rest: Sequence[str]) -> int:
    """Say what to type instead; returns the exit code."""
    verbs = [known.partition(" ")[2] for known in COMMANDS if known.startswith(f"{name} ")]
    if verbs and rest in (["--help"], ["-h"]):
        print("\n".join(table(name)))
        return 0
    if not verbs:
        told = f"no command {name!r}{suggestion(name, list(COMMANDS))}; see 'offramp --help'"
    elif rest and (near := suggestion(rest[0], verbs)):
        told = f"no command '{name} {rest[0]}'{near}; there are: {', '.join(verbs)}"
    else:
        right = " ".join([name, verbs[0], *rest])
        told = f"{name!r} alone is no command; type 'offramp {right}' (there are: {', '.join(verbs)})"
    print(f"offramp: {told}", file=sys.stderr)
    return 2


def table(group: str = "") -> list[str]:
    """A line for every command, or for those of a group."""
    width = max(map(len, COMMANDS)) + 2
    return [f"  {name:<{width}}{command.help}" for name, command in COMMANDS.items() if name.startswith(group)]


def overview() -> str:
    """What `offramp --help` prints."""
    return "\n".join(
        [
            "Usage: offramp COMMAND [OPTIONS]",
            "",
            "Edge-cloud split computing: cut a network, answer early on the device, ship the rest.",
            "",
            *table(),
            "",
            "'offramp COMMAND --help' tells more.  Exit codes: 0 done, 1 a bug, 2 wrong use, 3 a file, "
            "4 a missing library, 5 the link, 6 a source.",
        ]
    )


def entry() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
