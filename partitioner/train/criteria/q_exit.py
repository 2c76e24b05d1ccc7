"""Trains `split_core.criteria.q_exit`: PALBERT's distribution over exits, with the heads as they are."""

from __future__ import annotations

import numpy as np
import torch

from partitioner.heads.trainable import Tensor
from partitioner.train.criteria.base import Lesson, Taught
from partitioner.train.criteria.descent import Tensors, descend
from partitioner.train.schedule import Rows
from split_core.params import number, whole
from split_core.tensors import Array, FloatArray


class QExitTrainer:
    """Loss sum_i p_i CE_i + beta KL(p || Geom(prior)), with p_i = l_i prod_(j<i) (1 - l_j).

    The last exit takes the rest.  Balagansky, Gavrilov 2022 (PALBERT); there heads and net are trained together, here
    heads stay.  The geometric prior is cut off at exit K, which takes what is left of it.

    Args:
        beta: weight of the prior; published 0.5.
        prior: chance of leaving at each exit that it pulls towards; published 0.1.
        hidden: width M of the net's two inner layers; ours.

    Raises:
        ConfigError: a parameter out of its range.
    """

    def __init__(self, beta: float = 0.5, prior: float = 0.1, hidden: int = 32) -> None:
        self._beta = number("beta", beta, 0.0, 1e3)
        self._prior = number("prior", prior, 1e-3, 0.999)
        self._hidden = whole("hidden", hidden, 1, 4096)

    def fit(self, lesson: Lesson) -> Taught:
        """See `Trainer`; states are standardised to learn on, and the arrays are for states as they are."""
        mean, scale = _of_pairs(lesson)
        mean_t, scale_t = torch.from_numpy(mean), torch.from_numpy(scale)
        labels, logits = torch.from_numpy(lesson.traces.labels), torch.from_numpy(lesson.traces.logits)
        wanted = torch.from_numpy(geometric(self._prior, lesson.exits)).float()

        def loss(tensors: Tensors, rows: Rows) -> Tensor:
            states = torch.from_numpy(lesson.states(rows))
            before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
            both = (torch.cat([states, before], 2) - mean_t) / scale_t
            spent = _distribution(_leaving(tensors, both))
            given = logits[rows].float()
            losses = torch.nn.functional.cross_entropy(
                given.flatten(0, 1), labels[rows].repeat_interleave(lesson.exits), reduction="none"
            )
            apart = (spent * (torch.log(spent + 1e-9) - torch.log(wanted))).sum(1)
            return ((spent * losses.reshape(len(rows), -1)).sum(1) + self._beta * apart).mean()

        found, epochs = descend(self._start(lesson, mean.shape[1]), loss, lesson)
        # (both - mean) / scale + embedding, as one sum before the first layer and one factor in it.
        folded = {"weight_1": found["weight_1"] / scale[:, None], "embedding": found["embedding"] * scale - mean}
        return Taught(lesson.marked({**found, **folded}), epochs)

    def _start(self, lesson: Lesson, width: int) -> dict[str, Array]:
        rng, inner = np.random.default_rng([lesson.schedule.seed, width]), self._hidden
        return {
            "embedding": np.zeros((lesson.exits - 1, width)),
            "weight_1": rng.normal(0.0, width**-0.5, (width, inner)),
            "bias_1": np.zeros(inner),
            "weight_2": rng.normal(0.0, inner**-0.5, (inner, inner)),
            "bias_2": np.zeros(inner),
            "weight_3": np.zeros(inner),
            "bias_3": np.zeros(()),
        }


def geometric(prior: float, exits: int) -> FloatArray:
    """(K,) prior * (1 - prior)^(k - 1), and at the last exit all that is left."""
    stays = (1.0 - prior) ** np.arange(exits, dtype=np.float64)
    found: FloatArray = stays * prior
    found[-1] = stays[-1]
    return found


def _leaving(tensors: Tensors, both: Tensor) -> Tensor:
    """(n, K - 1) l of standardised pairs (n, K - 1, 2D)."""
    inner = torch.tanh((both + tensors["embedding"]) @ tensors["weight_1"] + tensors["bias_1"])
    inner = torch.tanh(inner @ tensors["weight_2"] + tensors["bias_2"])
    return torch.sigmoid(inner @ tensors["weight_3"] + tensors["bias_3"])


def _distribution(leaving: Tensor) -> Tensor:
    """(n, K) p of l (n, K - 1)."""
    staying = torch.cumprod(1.0 - leaving, 1)
    before = torch.cat([torch.ones_like(staying[:, :1]), staying], 1)
    return before * torch.cat([leaving, torch.ones_like(leaving[:, :1])], 1)


def _of_pairs(lesson: Lesson) -> tuple[Array, Array]:
    """Mean (K - 1, 2D) of [h_k; h_(k-1)], and one scale (2D,) for all exits, as they share the first layer."""
    mean, scale = lesson.spread()
    before = np.concatenate([np.zeros_like(mean[:1]), mean[:-1]])
    widest = scale.max(0)
    return np.concatenate([mean, before], 1), np.concatenate([widest, widest])
