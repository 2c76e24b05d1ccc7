"""What joint training does, said without torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from partitioner.train.targets.base import Softness
from split_core.errors import ConfigError

WAYS = ("joint", "alternating")
OPTIMISERS = ("adamw", "sgd")
RATES = ("cosine", "onecycle")
LEARNING_RATES = {"adamw": 1e-3, "sgd": 0.1}
WEIGHT_DECAYS = {"adamw": 1e-2, "sgd": 5e-4}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to a picture each time that it is learned from; nothing, as it stands.

    Attributes:
        padding: pixels put around it before a part of the old size is cut out anywhere.
        flip: whether every second one is mirrored.
    """

    padding: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"padding must be at least 0 pixels, got {self.padding}")

    @property
    def any(self) -> bool:
        """Whether it does anything."""
        return self.flip or self.padding > 0


@dataclass(frozen=True)
class JointPlan:
    """What shall be trained, and how.

    Attributes:
        weighting: name in `WEIGHTINGS`.
        way: "joint"; or "alternating", where every odd step is the final exit's alone.
        target: name in `TARGETS`, of the exits before the final one, which always learns labels.
        softness: of targets that distil.
        depths: share of the network before each exit, the last 1; none for k / K.
        optimiser: "adamw", or "sgd" with Nesterov momentum.
        rate: how the learning rate goes: "cosine" from the top to 0, or "onecycle".
        learning_rate: at the top; None for what is usual with the optimiser.
        weight_decay: the same.
        momentum: of "sgd".
        epochs: at most.
        patience: epochs without a better validation accuracy after which it ends; None for never.
        batch: samples per step; a rest that does not fill one waits for the next epoch.
        validation: share of the samples kept apart, in (0, 1).
        augmentation: of pictures.
        channels_last: lay feature maps out with the channels last, faster for convolutions on CPUs; a module
            that calls `view` on a map refuses.
        seed: of the split, the order, the augmentation and torch.
    """

    weighting: str = "uniform"
    way: str = "joint"
    target: str = "labels"
    softness: Softness = field(default_factory=Softness)
    depths: tuple[float, ...] = ()
    optimiser: str = "adamw"
    rate: str = "cosine"
    learning_rate: float | None = None
    weight_decay: float | None = None
    momentum: float = 0.9
    epochs: int = 30
    patience: int | None = None
    batch: int = 128
    validation: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)
    channels_last: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("way", WAYS), ("optimiser", OPTIMISERS), ("rate", RATES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r}: expected {' or '.join(known)}")
        if not 0.0 < self.validation < 1.0:
            raise ValueError(f"validation {self.validation:g}: expected a share above 0 and below 1")
        if not self.top_rate > 0.0 or self.decay < 0.0 or not 0.0 <= self.momentum < 1.0:
            raise ValueError("learning rate must be above 0, weight decay at least 0, momentum in [0, 1)")
        if min(self.epochs, self.batch, 1 if self.patience is None else self.patience) < 1:
            raise ValueError("epochs, batch and patience must be at least 1")

    @property
    def top_rate(self) -> float:
        """The learning rate at its greatest."""
        return LEARNING_RATES[self.optimiser] if self.learning_rate is None else self.learning_rate

    @property
    def decay(self) -> float:
        """The weight decay."""
        return WEIGHT_DECAYS[self.optimiser] if self.weight_decay is None else self.weight_decay

    def shares(self, exits: int) -> tuple[float, ...]:
        """`depths`, or k / K.

        Raises:
            ConfigError: not one per exit, not rising, or not ending in 1.
        """
        depths = self.depths or tuple(k / exits for k in range(1, exits + 1))
        if len(depths) != exits or list(depths) != sorted(set(depths)) or depths[0] <= 0.0 or depths[-1] != 1.0:
            said = ",".join(f"{depth:g}" for depth in depths)
            raise ConfigError(f"depths {said}: expected {exits} rising shares above 0, the last 1")
        return depths
