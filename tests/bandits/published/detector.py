"""A device and a cloud whose agreement is known, so that regret is known too, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandits.policy import Costs, Policy, Ship
from split_core.tensors import FloatArray
from tests.bandits.frames import context, observed
from tests.bandits.readings import reading


@dataclass(frozen=True)
class Detector:
    """Readings of bin b come with `confidence[b]`, a share of `share[b]`, and agree with the cloud with `right[b]`.

    Labels are 0 and 1, as likely on the device.  Asking costs `beta`, a mistake 1, a missed 1 `miss`.
    """

    confidence: tuple[float, ...]
    share: tuple[float, ...]
    right: tuple[float, ...]
    beta: float
    miss: float = 1.0

    def answered(self) -> FloatArray:
        """(2, B) expected loss of answering, by what the device says and bin."""
        wrong = 1.0 - np.array(self.right)
        return np.stack([self.miss * wrong, wrong])

    def threshold(self) -> float:
        """Loss of the best single threshold."""
        answered, edges = self.answered().mean(axis=0), (*self.confidence, 2.0)
        losses = [np.where(np.array(self.confidence) >= edge, answered, self.beta) for edge in edges]
        return float(min(loss @ np.array(self.share) for loss in losses))

    def play(self, policy: Policy, frames: int, seed: int) -> tuple[FloatArray, FloatArray]:
        """(N,) expected loss of what `policy` did, and (N,) of the best decision for the same label and bin."""
        rng = np.random.default_rng([seed, 7])
        bins, labels = rng.choice(len(self.right), frames, p=self.share), rng.integers(0, 2, frames)
        agrees = rng.random(frames) < np.array(self.right)[bins]
        given, answered = context(Costs.published(2, per_layer=0.0, offload=self.beta)), self.answered()[labels, bins]
        lost = np.zeros(frames)
        for frame, (place, label) in enumerate(zip(bins.tolist(), labels.tolist(), strict=True)):
            said = label if agrees[frame] else 1 - label
            seen = observed(policy, given, [reading(1, label, self.confidence[place]), reading(2, said, 1.0)])
            policy.learn(seen)
            lost[frame] = self.beta if isinstance(seen.action, Ship) else answered[frame]
        return lost, np.minimum(answered, self.beta)
