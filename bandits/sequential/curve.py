"""How far an exit's confidences can be believed: a logistic curve per exit, fitted to the verdicts so far.

    P(right | confidence, kin) = sigmoid(a + b * logit(confidence) + d * [differs from the exit before])

A ridge holds (a, b, d) near those of all exits together, and these near (0, 1, -1): without verdicts a confidence
means what it says.  A few dozen verdicts of
any states then correct all of them, also those that were never checked; that is what saves an exit that is
sure of everything.  One Newton step per refresh, from where the last one ended.
"""

from __future__ import annotations

import numpy as np

from bandits.sequential.states import BINS, DIFFERS, KINS, middles
from split_core.tensors import FloatArray

CENTRE = np.array([0.0, 1.0, -1.0])
# 1 / variance of the three before anything was seen.
RIDGE = np.array([1.0, 4.0, 1.0])
# Exits read the same frames: together they say so many times what one says.
SHARED = 2.0
LOW, HIGH = np.array([-6.0, 0.05, -6.0]), np.array([6.0, 3.0, 3.0])


class Curve:
    """The curves of exits 1..K-1.

    Args:
        readable: K-1.

    Attributes:
        weights: (K, 3) a, b, d of every exit, and last those of all together.
    """

    def __init__(self, readable: int) -> None:
        self.weights = np.tile(CENTRE, (readable + 1, 1))
        certain = middles()
        features = np.zeros((KINS, BINS, 3))
        features[:, :, 0] = 1.0
        features[:, 1:, 1] = np.log(certain / (1.0 - certain))
        features[DIFFERS, :, 2] = 1.0
        self._features = features.reshape(-1, 3)
        # Products of features, so that a Hessian is one matrix product.
        self._squares = (self._features[:, :, None] * self._features[:, None, :]).reshape(-1, 9)

    def right(self) -> FloatArray:
        """(K-1, STATES) probability that the reading is right."""
        result: FloatArray = 1.0 / (1.0 + np.exp(-(self.weights[:-1] @ self._features.T)))
        return result

    def fit(self, seen: FloatArray, wrong: FloatArray) -> None:
        """One Newton step.

        Args:
            seen: (K-1, STATES) readings whose right label is known.
            wrong: of those, the wrong ones.
        """
        shared = SHARED / max(1, len(seen))
        seen = np.concatenate((seen, shared * seen.sum(axis=0, keepdims=True)))
        wrong = np.concatenate((wrong, shared * wrong.sum(axis=0, keepdims=True)))
        right = 1.0 / (1.0 + np.exp(-(self.weights @ self._features.T)))
        centre = np.tile(self.weights[-1], (len(seen), 1))
        centre[-1] = CENTRE
        slope = (seen - wrong - seen * right) @ self._features - RIDGE * (self.weights - centre)
        bend = ((seen * right * (1.0 - right)) @ self._squares).reshape(-1, 3, 3) + np.diag(RIDGE)
        step = np.linalg.solve(bend, slope[..., None])[..., 0]
        self.weights = np.clip(self.weights + np.clip(step, -1.0, 1.0), LOW, HIGH)

    def spread(self, checked: FloatArray) -> FloatArray:
        """(K-1, STATES) standard deviation of `right` after so many verdicts (Laplace's approximation).

        Args:
            checked: (K-1, STATES) readings whose right label is known.
        """
        right = self.right()
        bend = ((checked * right * (1.0 - right)) @ self._squares).reshape(-1, 3, 3) + np.diag(RIDGE)
        variance = ((self._features @ np.linalg.inv(bend)) * self._features).sum(axis=2)
        result: FloatArray = right * (1.0 - right) * np.sqrt(variance)
        return result
