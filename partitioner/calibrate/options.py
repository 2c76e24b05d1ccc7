"""The options of `offramp calibrate`, by what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from partitioner.calibrate.codecs import Route
from partitioner.calibrate.criterion import CriterionArrays, criterion_arrays
from partitioner.calibrate.guarding import GuardWishes
from partitioner.calibrate.targets import Target
from split_core import config, profiles
from split_core.errors import ConfigError
from split_core.objective import Objective
from split_core.policy import ObjectiveSection
from split_core.registry import suggestion

WHO = "Who decides"
ASKED = "What is asked of the thresholds"
COSTS = "What costs what"
CODECS = "Codecs"
GUARD = "What may not be answered early"


@dataclass(frozen=True, slots=True)
class DecideOptions:
    """How an exit is read, and who decides on it."""

    criterion: Annotated[str, typer.Option(help="Exit criterion.", rich_help_panel=WHO)] = "max_prob"
    criterion_param: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the criterion; as often as needed.", rich_help_panel=WHO),
    ] = None
    criterion_arrays: Annotated[
        Path | None,
        typer.Option(help="Its trained arrays, an .npz of 'offramp train --criterion'.", rich_help_panel=WHO),
    ] = None
    bandit: Annotated[
        str,
        typer.Option(help="Who decides at run time: sequential, or cascade for what is asked.", rich_help_panel=WHO),
    ] = ""
    ship: Annotated[
        Literal["any", "hidden"], typer.Option(help="hidden: pixels never leave the device.", rich_help_panel=WHO)
    ] = "any"

    def trained(self, bundle_id: str) -> CriterionArrays | None:
        """The trained arrays, read.

        Raises:
            SplitError: they cannot be read, or are for another criterion or bundle.
        """
        if self.criterion_arrays is None:
            return None
        return criterion_arrays(self.criterion_arrays, self.criterion, bundle_id)


@dataclass(frozen=True, slots=True)
class ObjectiveOptions:
    """Weights of the objective."""

    objective: Annotated[
        Path | None,
        typer.Option(help="YAML with the weights ms, kb, cloud_ms, joule, mu.", rich_help_panel=COSTS),
    ] = None
    ms: Annotated[float | None, typer.Option(help="Cost of a millisecond.", min=0, rich_help_panel=COSTS)] = None
    kb: Annotated[float | None, typer.Option(help="Cost of a kilobyte sent.", min=0, rich_help_panel=COSTS)] = None
    cloud_ms: Annotated[
        float | None, typer.Option(help="Cost of a millisecond of cloud.", min=0, rich_help_panel=COSTS)
    ] = None
    mu: Annotated[
        float | None, typer.Option(help="Confidence that a unit of cost is worth.", min=0, rich_help_panel=COSTS)
    ] = None

    def build(self) -> Objective:
        """The file's weights, or the defaults, with those given on the command line in their place."""
        base = config.load(self.objective, ObjectiveSection).build() if self.objective else Objective()
        given = {"ms": self.ms, "kb": self.kb, "cloud_ms": self.cloud_ms, "mu": self.mu}
        return replace(base, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """What is asked of the thresholds; `target` alone is about those that are certified per exit."""

    target: Annotated[
        float, typer.Option(help="Agreement that a certified threshold promises.", rich_help_panel=ASKED)
    ] = 0.98
    accuracy: Annotated[
        float | None, typer.Option(help="Ask: of what exits answer, this share is right.", rich_help_panel=ASKED)
    ] = None
    max_drop: Annotated[
        float | None, typer.Option(help="Ask: accuracy lost against the full network.", rich_help_panel=ASKED)
    ] = None
    risk: Annotated[
        float | None, typer.Option(help="Ask: mean loss of early answers, see --loss.", rich_help_panel=ASKED)
    ] = None
    confidence: Annotated[
        float, typer.Option(help="Chance that a promise holds.", min=0.01, max=0.999, rich_help_panel=ASKED)
    ] = 0.9
    method: Annotated[
        str, typer.Option(help="naive, crc, ltt, wsr; for --accuracy pcee, pcee_ws.", rich_help_panel=ASKED)
    ] = ""
    loss: Annotated[str, typer.Option(help="Of --risk: consistency, mistakes, drop, brier.", rich_help_panel=ASKED)] = (
        "consistency"
    )
    budget_ms: Annotated[
        float | None, typer.Option(help="Ask: mean ms of the device per frame.", rich_help_panel=ASKED)
    ] = None
    max_offload: Annotated[
        float | None, typer.Option(help="Ask: share of frames no exit answers.", rich_help_panel=ASKED)
    ] = None
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Thresholds per predicted class too.", rich_help_panel=ASKED)
    ] = False
    profile: Annotated[
        Path | None, typer.Option(help="Times of the device, for --budget-ms.", rich_help_panel=ASKED)
    ] = None

    def build(self, bundle_id: str, deepest: int = 0) -> Target:
        """What is asked, in the terms that thresholds are chosen by; the device stops after exit `deepest`."""
        return Target(
            self.accuracy,
            self.max_drop,
            self.risk,
            self.confidence,
            self.method,
            self.loss,
            self.budget_ms,
            self.max_offload,
            self.per_class,
            self._device_ms(bundle_id, deepest),
        )

    def _device_ms(self, bundle_id: str, deepest: int) -> tuple[float, ...]:
        """(K,) milliseconds until each exit has been read, those before it included; empty without a profile."""
        if self.profile is None:
            return ()
        profile = profiles.load(self.profile)
        profile.check_bound_to(bundle_id, str(self.profile))
        until = (profile.device_ms() + np.cumsum(profile.head_ms()))[1:]
        return tuple((np.minimum(until, until[deepest - 1]) if deepest else until).tolist())


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """What may not be answered early, and thresholds by what is known of a stream."""

    never_early: Annotated[
        str, typer.Option(metavar="LABEL,..", help="Classes that early exits never answer.", rich_help_panel=GUARD)
    ] = ""
    never_early_segment: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Streams that early exits never answer.", rich_help_panel=GUARD),
    ] = None
    deepest: Annotated[
        int, typer.Option(help="Last exit computed on the device; 0 sets no limit.", min=0, rich_help_panel=GUARD)
    ] = 0
    abstain: Annotated[
        float | None,
        typer.Option(
            metavar="ALPHA",
            help="Unsure is what has no conformal set of one class; sets miss the truth with this chance.",
            rich_help_panel=GUARD,
        ),
    ] = None
    abstain_per_class: Annotated[
        bool, typer.Option("--abstain-per-class", help="Sets keep ALPHA within every class.", rich_help_panel=GUARD)
    ] = False
    segment: Annotated[
        str, typer.Option(metavar="COLUMN", help="Of --slices: thresholds per value of it.", rich_help_panel=GUARD)
    ] = ""

    def build(self, labels: tuple[str, ...] | None, exits: int) -> GuardWishes:
        """What shall be guarded, in numbers.

        Raises:
            ConfigError: a class or exit that there is not, or no number between 0 and 1.
        """
        if self.abstain is not None and not 0.0 < self.abstain < 1.0:
            raise ConfigError(f"--abstain: expected a number between 0 and 1, got {self.abstain}")
        if self.abstain_per_class and self.abstain is None:
            raise ConfigError("--abstain-per-class goes with --abstain ALPHA")
        if self.deepest > exits:
            raise ConfigError(f"--deepest {self.deepest}: the bundle has {exits} exits")
        classes = [class_named(name.strip(), labels or ()) for name in self.never_early.split(",") if name.strip()]
        streams = segments_from_text(self.never_early_segment or ())
        return GuardWishes(tuple(sorted(set(classes))), streams, self.deepest, self.abstain, self.abstain_per_class)


def class_named(name: str, labels: tuple[str, ...]) -> int:
    """The number of a class, given by name or number.

    Raises:
        ConfigError: there is no such class.
    """
    if name in labels:
        return labels.index(name)
    if name.isascii() and name.isdigit() and int(name) < len(labels):
        return int(name)
    raise ConfigError(f"--never-early: no class {name!r} among {', '.join(labels)}{suggestion(name, list(labels))}")


def segments_from_text(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`["site=north", "site=west"]` as {"site": ("north", "west")}.

    Raises:
        ConfigError: not COLUMN=VALUE.
    """
    found: dict[str, tuple[str, ...]] = {}
    for one in given:
        column, equals, value = one.partition("=")
        if not (column and equals):
            raise ConfigError(f"--never-early-segment: expected COLUMN=VALUE, got {one!r}")
        found[column] = (*found.get(column, ()), value)
    return found


@dataclass(frozen=True, slots=True)
class CodecOptions:
    """What a codec may cost, and on which road."""

    codec_drop: Annotated[
        float, typer.Option(help="Accuracy that a codec may cost.", min=0, max=1, rich_help_panel=CODECS)
    ] = 0.002
    slowdown: Annotated[
        float,
        typer.Option(
            help="The device packs payloads this many times slower than this machine.", min=1, rich_help_panel=CODECS
        ),
    ] = 1.0
    rate_mbit: Annotated[
        float, typer.Option("--rate", help="Mbit/s of the uplink to expect.", min=0.001, rich_help_panel=CODECS)
    ] = 10.0
    codec_samples: Annotated[
        int, typer.Option(help="Samples that codecs are measured on.", min=1, rich_help_panel=CODECS)
    ] = 2000

    def route(self, objective: Objective) -> Route:
        """What a byte costs on it."""
        return Route(objective, self.slowdown, self.rate_mbit)
