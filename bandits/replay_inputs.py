"""What `offramp replay` is given: traces, logs, a policy file's own bandit, prices of mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from bandits.loss import ErrorCosts
from bandits.of_file import FilePolicy
from bandits.whole_frames import traces_of_log
from split_core import traces
from split_core.errors import ConfigError, TraceError
from split_core.policy import PolicyFile
from split_core.telemetry.decisions import FrameRecord, read_header, read_log
from split_core.traces import Traces


def recorded_in(path: Path) -> Traces:
    """A trace; or of a decision log (`.jsonl`) the frames that were read whole."""
    if ".jsonl" in path.suffixes:  # a rotated one, too
        return traces_of_log(list(read_log(path)), path)
    return traces.load(path)


def records_in(logs: Sequence[str], bundle_id: str) -> dict[str, list[FrameRecord]]:
    """Decision logs by the name of their policy, from NAME=FILE.

    Raises:
        ConfigError: no equals sign.
        TraceError: a log of another bundle than the trace's.
    """
    records = {}
    for item in logs:
        name, equals, path = item.partition("=")
        if not equals:
            raise ConfigError(f"--log {item!r}: expected NAME=FILE, for example grid=decisions.jsonl")
        met = read_header(Path(path)).get("bundle", bundle_id)
        if bundle_id and met != bundle_id:
            raise TraceError(
                f"{path}: a log of bundle {met[:12]}, the trace is of {bundle_id[:12]}; record a trace of it"
            )
        records[name] = list(read_log(Path(path)))
    return records


def policy_of_file(path: Path | None, policy: PolicyFile | None, metadata: Sequence[str]) -> dict[str, FilePolicy]:
    """The policy file's bandit, as a camera would play it: within its guard, with the thresholds of its stream."""
    known = dict(item.split("=", 1) for item in metadata if "=" in item[1:])
    if len(known) != len(metadata):
        raise ConfigError(f"--metadata {' '.join(metadata)}: expected KEY=VALUE, each key once, for example site=north")
    return {policy.bandit.name: FilePolicy(policy, known, folder=path.parent)} if policy and path else {}


def error_costs_of(text: str) -> ErrorCosts:
    """`--error-cost`: a number, or a list of them, one per class.

    Raises:
        ConfigError: neither.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    found = value if isinstance(value, list) else [value]
    if not found or any(type(each) not in (int, float) or not 0.0 <= each < float("inf") for each in found):
        raise ConfigError(f"--error-cost {text!r}: expected a number of at least 0, or a list of them, one per class")
    return value  # type: ignore[no-any-return]  # looked at above
