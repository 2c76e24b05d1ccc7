"""A network with all that the cameras of a device need to run on it; what is changed at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_runtime import artefacts
from edge_runtime.artefacts import Artefacts
from edge_runtime.camera import Camera
from edge_runtime.config import EdgeConfig
from edge_runtime.frames.deployment import Deployment
from edge_runtime.frames.ticket import Rules
from edge_runtime.frames.together import together_at
from split_core.errors import ReleaseError

ROUNDS = 3  # of a blank frame, before the time of a segment is believed


@dataclass(frozen=True, eq=False)
class Place:
    """What one camera runs on.

    Attributes:
        artefacts: the files.
        rules: of its frames.
        deployment: what they run through.
        asked: the same rules once more, for frames that somebody else answers: what these learn is not kept.
    """

    artefacts: Artefacts
    rules: Rules
    deployment: Deployment
    asked: Rules


@dataclass(frozen=True, eq=False)
class Lineup:
    """A release in memory.

    Attributes:
        name: of its version.
        places: by camera.
        together: frames of several cameras that are run through the first segments at once.
    """

    name: str
    places: Mapping[str, Place]
    together: int = 1

    @property
    def first(self) -> Place:
        """Of any camera, for what all share."""
        return next(iter(self.places.values()))


def line_up(name: str, config: EdgeConfig, cameras: Mapping[str, Camera]) -> Lineup:
    """Load a release beside the one that runs, and warm it up.  It takes its time: not for the frames' thread.

    Args:
        name: of its version.
        config: names its files.
        cameras: that shall run on it.

    Raises:
        SplitError: it cannot be loaded, does not fit together, or is too slow in one piece.
    """
    running = next(iter(cameras.values()))
    loaded = replace(artefacts.load(config), guardrail=running.artefacts.guardrail)
    shared = loaded.deployment()
    shared.probe.compute()
    _refuse_long_segments(shared, config.margin_ms)
    shared.costs.go_on_from(running.stream.deployment.costs)
    places = {name: _place(loaded.of_camera(own), shared) for name, own in config.cameras().items()}
    together = together_at(config.together, shared.prefix, len(cameras)) if len(cameras) > 1 else 1
    return Lineup(name, places, together)


def _place(loaded: Artefacts, shared: Deployment) -> Place:
    rules, asked = loaded.rules(), loaded.rules()
    shared.probe.check(rules.reader)
    return Place(loaded, rules, replace(shared, budget=loaded.budget(shared.costs)), asked)


def _refuse_long_segments(deployment: Deployment, margin_ms: float) -> None:
    """A segment is run in one piece, and a frame that comes meanwhile waits for its end."""
    runs = [deployment.prefix.blank() for _ in range(ROUNDS)]
    for run in runs:
        while run.depth < deployment.prefix.exits:
            run.deepen()
    least_ms = [min(times) for times in zip(*(run.segment_ms for run in runs), strict=True)]
    longest_ms = max(least_ms)
    if longest_ms > margin_ms:
        raise ReleaseError(
            f"segment {least_ms.index(longest_ms)} takes {longest_ms:.0f} ms here, expected at most margin_ms, "
            f"{margin_ms:g}; cut the network into more segments"
        )


def in_place(name: str, cameras: Mapping[str, Camera], asked: Mapping[str, Rules], together: int) -> Lineup:
    """What runs now, for a return to it.

    Args:
        name: of its version.
        cameras: that run on it.
        asked: by camera, see `Place`.
        together: see `Lineup`.
    """
    places = {
        camera: Place(one.artefacts, one.stream.rules, one.stream.deployment, asked[camera])
        for camera, one in cameras.items()
    }
    return Lineup(name, places, together)
