"""Networks for the tiny pictures, addressed as `tests.partitioner.train.joint_modules:Body`."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Body(nn.Module):
    """Two blocks and one answer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.Dropout(0.1))
        self.answer = nn.Sequential(nn.Flatten(), nn.Linear(8 * 16, 4))

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = self.answer(self.second(self.first(image)))
        return answer


class WithItsOwn(Body):
    """The same with an exit between."""

    def __init__(self) -> None:
        super().__init__()
        self.exit = nn.Sequential(nn.Flatten(), nn.Linear(6 * 16, 4))

    def forward(self, image: Tensor) -> list[Tensor]:  # type: ignore[override]
        state = self.first(image)
        return [self.exit(state), self.answer(self.second(state))]


class Frozen(Body):
    """Its first block keeps its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first.requires_grad_(False)


class Pair(Body):
    """A part that gives two tensors, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)
        self.second = Two()

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = self.answer(torch.cat(self.second(self.first(image)), 1))
        return answer


class Two(nn.Module):
    """Two halves."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 8, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.conv(x).chunk(2, 1))


class Map(Body):
    """Gives no class logits."""

    def forward(self, image: Tensor) -> Tensor:
        state: Tensor = self.first(image)
        return state


class Reads(nn.Module):
    """The mean of the tokens that the mask keeps, before and after a layer; the mask comes first."""

    def __init__(self, words: int = 16) -> None:
        super().__init__()
        self.words = nn.Embedding(words, 8)
        self.layer = nn.Linear(8, 8)
        self.early, self.late = nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, attention_mask: Tensor, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        state = self.words(input_ids)
        deeper = torch.tanh(self.layer(state))
        return self.early(_mean(state, attention_mask)), self.late(_mean(deeper, attention_mask))


def _mean(state: Tensor, mask: Tensor) -> Tensor:
    kept = mask.float().unsqueeze(2)
    return (state * kept).sum(1) / kept.sum(1)
