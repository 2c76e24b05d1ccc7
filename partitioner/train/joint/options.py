"""The options of `offramp train joint`, by what they are about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from partitioner.heads import TRAINABLE
from partitioner.train.joint.plan import Augmentation, JointPlan
from partitioner.train.joint.weightings import WEIGHTINGS
from partitioner.train.targets import TARGETS
from partitioner.train.targets.base import Softness
from split_core.errors import ConfigError

NETWORK = "The network and its exits"
LOSS = "What is learned"
STEPS = "How it is learned"
USUAL = JointPlan()


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """What is trained, and what becomes of it."""

    arg: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE for the factory; as often as needed.", rich_help_panel=NETWORK),
    ] = None
    input_: Annotated[
        list[str] | None,
        typer.Option("--input", help="What it takes: x=batch,3,224,224; else see --config.", rich_help_panel=NETWORK),
    ] = None
    at: Annotated[
        str,
        typer.Option(help="Parts that get an exit behind them, with commas between.", rich_help_panel=NETWORK),
    ] = ""
    head: Annotated[str, typer.Option(help=f"For --at: {', '.join(TRAINABLE)}.", rich_help_panel=NETWORK)] = "linear"
    config: Annotated[
        Path | None,
        typer.Option(help="YAML with name, version, labels and preprocess, as for partition.", rich_help_panel=NETWORK),
    ] = None
    name: Annotated[str | None, typer.Option(help="Of the bundle.", rich_help_panel=NETWORK)] = None
    version: Annotated[str | None, typer.Option(help="Of the bundle.", rich_help_panel=NETWORK)] = None
    network: Annotated[
        Path | None,
        typer.Option(help="Keep the uncut network here too, as .onnx for verify.", rich_help_panel=NETWORK),
    ] = None


@dataclass(frozen=True, slots=True)
class LossOptions:
    """What is descended."""

    weighting: Annotated[
        str, typer.Option(help=f"Of the exits' losses: {', '.join(WEIGHTINGS)}.", rich_help_panel=LOSS)
    ] = USUAL.weighting
    way: Annotated[
        Literal["joint", "alternating"],
        typer.Option(help="alternating: every odd step is the final exit's.", rich_help_panel=LOSS),
    ] = "joint"
    target: Annotated[
        str, typer.Option(help=f"Of exits before the final one: {', '.join(TARGETS)}.", rich_help_panel=LOSS)
    ] = USUAL.target
    temperature: Annotated[float, typer.Option(help="For distilled.", rich_help_panel=LOSS)] = Softness().temperature
    mix: Annotated[float, typer.Option(help="For distilled: the final exit's share.", rich_help_panel=LOSS)] = (
        Softness().mix
    )
    depths: Annotated[
        str, typer.Option(help="For sdn: share of the network before each exit, 0.2,0.5,1.", rich_help_panel=LOSS)
    ] = ""


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How it is descended."""

    optimiser: Annotated[Literal["adamw", "sgd"], typer.Option(rich_help_panel=STEPS)] = "adamw"
    rate: Annotated[
        Literal["cosine", "onecycle"], typer.Option(help="How the learning rate goes.", rich_help_panel=STEPS)
    ] = "cosine"
    learning_rate: Annotated[
        float | None, typer.Option(help="At the top; else 0.001, for sgd 0.1.", rich_help_panel=STEPS)
    ] = None
    weight_decay: Annotated[float | None, typer.Option(help="Else 0.01, for sgd 0.0005.", rich_help_panel=STEPS)] = None
    momentum: Annotated[float, typer.Option(help="Of sgd.", rich_help_panel=STEPS)] = USUAL.momentum
    epochs: Annotated[int, typer.Option(help="At most.", rich_help_panel=STEPS)] = USUAL.epochs
    patience: Annotated[
        int | None, typer.Option(help="Epochs without progress after which it ends; else none.", rich_help_panel=STEPS)
    ] = None
    batch: Annotated[int, typer.Option(help="Samples per step.", rich_help_panel=STEPS)] = USUAL.batch
    validation: Annotated[float, typer.Option(help="Share of the samples to measure on.", rich_help_panel=STEPS)] = (
        USUAL.validation
    )
    padding: Annotated[int, typer.Option(help="Pixels by which pictures are moved at most.", rich_help_panel=STEPS)] = 0
    flip: Annotated[bool, typer.Option("--flip", help="Mirror every second picture.", rich_help_panel=STEPS)] = False
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Often faster with convolutions.", rich_help_panel=STEPS)
    ] = False
    seed: Annotated[int, typer.Option(help="Of everything drawn.", min=0, rich_help_panel=STEPS)] = 0


def plan_of(loss: LossOptions, steps: StepOptions) -> JointPlan:
    """What the options say.

    Raises:
        ConfigError: a value that makes no sense.
    """
    try:
        return JointPlan(
            weighting=loss.weighting,
            way=loss.way,
            target=loss.target,
            softness=Softness(loss.temperature, loss.mix),
            depths=_depths(loss.depths),
            optimiser=steps.optimiser,
            rate=steps.rate,
            learning_rate=steps.learning_rate,
            weight_decay=steps.weight_decay,
            momentum=steps.momentum,
            epochs=steps.epochs,
            patience=steps.patience,
            batch=steps.batch,
            validation=steps.validation,
            augmentation=Augmentation(steps.padding, steps.flip),
            channels_last=steps.channels_last,
            seed=steps.seed,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _depths(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise ConfigError(f"--depths {text}: expected numbers with commas between, for example 0.2,0.5,1") from error
