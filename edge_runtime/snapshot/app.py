"""Composition root of a snapshot: one camera's files become objects, for one frame.  Nothing on disk is changed."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from edge_runtime import artefacts
from edge_runtime.artefacts import Artefacts
from edge_runtime.config import EdgeConfig
from edge_runtime.following.memory import resumed
from edge_runtime.frames.stream import Stream
from edge_runtime.frames.ticket import Rules
from edge_runtime.opening import make_offloader, make_source, open_channels
from edge_runtime.snapshot.one_frame import OneFrame
from edge_runtime.snapshot.snapshot import About, Snapshot
from edge_runtime.sources.base import Item
from edge_runtime.sources.choose import items
from edge_runtime.sources.slot import NewestFrame
from split_core.errors import ConfigError, PolicyFileError, SourceError
from split_core.policy_state import read_states

CONNECT_S = 2.0  # for a worker to answer the greeting


def take(config: EdgeConfig, *, camera: str = "", item: Path | None = None) -> tuple[Snapshot, Item]:
    """One frame, answered as the camera would answer it now, and everything about it.

    Args:
        config: checked.
        camera: which one, where there are several; the first when empty.
        item: a picture, text or folder to take it from, instead of the camera's source.

    Raises:
        SplitError: a file is not usable, there is no such camera, or the source gives nothing.
    """
    names = artefacts.in_force(config).cameras()
    name = camera or next(iter(names))
    if name not in names:
        raise ConfigError(f"no camera {name!r}; expected one of {', '.join(names)}")
    loaded = artefacts.load(names[name], lambda _: None)
    frame = _given(item) if item else _seen(names[name])
    with ExitStack() as stack:
        return _taken(loaded, name, frame, stack), frame


def _given(path: Path) -> Item:
    found = items(path, 1)
    if not found:
        raise SourceError(f"{path}: no frame in it")
    return found[0]


def _seen(config: EdgeConfig) -> Item:
    assert config.source is not None
    source = make_source(config.source)
    try:
        found = source.read()
    finally:
        source.close()
    if found is None:
        raise SourceError(f"source {config.source.kind!r} gives no frame")
    return found


def _taken(loaded: Artefacts, name: str, frame: Item, stack: ExitStack) -> Snapshot:
    config, deployment, rules = loaded.config, loaded.deployment(), loaded.rules()
    channels = open_channels(config.link, stack)
    learned = _learned(loaded, rules)
    offloader = make_offloader(config, channels, loaded, lambda *_: None)
    stream = Stream(name, NewestFrame(), rules, replace(deployment, budget=loaded.budget(deployment.costs)))
    channel, *others = channels.values()
    one = OneFrame(
        stream,
        offloader,
        workers=list(channels),
        about=_about(loaded, name, learned),
        clock=time.monotonic,
        wait=lambda seconds: channel.wait(seconds, *others),
    )
    deployment.probe.compute()
    if config.link.address:
        one.connect(CONNECT_S)
    return one.take(frame)


def _learned(loaded: Artefacts, rules: Rules) -> str:
    """Go on from what the camera has saved, without touching it; what was found, in one line."""
    path = Path(loaded.config.state) if loaded.config.state else None
    if path is None or not path.exists():
        return "nothing learned yet"
    try:
        mine = next((one for one in read_states(path) if one.binding == loaded.ids), None)
    except PolicyFileError as error:
        return f"{path}: cannot be used ({error})"
    return resumed(mine, rules, f"with what {path} has learned") if mine else f"{path}: of another bundle or policy"


def _about(loaded: Artefacts, name: str, learned: str) -> About:
    manifest, file = loaded.bundle.manifest, loaded.policy_file
    place = " ".join(f"{key}={value}" for key, value in loaded.config.metadata.items())
    link = loaded.config.link
    notes = [f"segment: {place}"] if place else []
    if file.envelope:
        notes.append(f"promise: {file.evidence.target:.3g} of the answers given here agree with the whole network")
    if link.mb_per_hour:
        notes.append(f"at most {link.mb_per_hour:g} MB an hour may be sent")
    if link.max_per_s:
        notes.append(f"at most {link.max_per_s:g} frames a second may be sent")
    return About(
        camera=name,
        bundle=f"{manifest.name} {manifest.version}",
        policy=loaded.bandit.name,
        policy_id=file.id,
        learned=learned,
        notes=tuple(notes),
        inputs=file.evidence.input_histograms,
    )
