"""Modules that are hard or impossible to export, one trait each, addressed as `tests.partitioner.torch_modules:name`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Plain(nn.Module):
    def __init__(self, classes: int = 3, side: int = 4) -> None:
        super().__init__()
        self.stem = nn.Linear(side, 8)
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.stem(x)))


class OnlyTraceable(Plain):
    """Reads a weight with numpy: torch.export cannot, a trace takes it for the constant that it is."""

    def forward(self, x: Tensor) -> Tensor:
        scale = float(self.head.weight.detach().numpy().max())
        return super().forward(x) * scale


class Twins(OnlyTraceable):
    """Equal weights, which a trace stores once and copies by an Identity."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(4), nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.second(self.first(x)))


class Vanishing(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 1e-25 * 1e-15


class BatchInPython(OnlyTraceable):
    """And makes a number of Python out of the batch: a trace fixes it, silently."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.zeros(int(np.asarray(int(x.shape[0]))), 3)


class ValueInPython(OnlyTraceable):
    """And takes a number out of the values: a trace fixes it, silently."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float(x.detach().numpy()[0, 0])


class OneRow(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(1, 4))


class Branching(Plain):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return super().forward(x)
        return super().forward(-x)


class Unsupported(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.special.bessel_j0(x))


class Noisy(Plain):
    """Not a function: dropout that is never switched off."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), 0.5, training=True)


class NotNumbers(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float("nan")


class Chatty(Plain):
    def forward(self, x: Tensor) -> Tensor:
        print("chatter")
        return super().forward(x)


class Returns(Plain):
    """Gives its logits in one of many forms."""

    def __init__(self, form: str = "tensor") -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Any:
        hidden = torch.relu(self.stem(x))
        logits = self.head(hidden)
        forms: dict[str, Any] = {
            "dict": {"features": hidden, "pooled": logits, "past_key_values": hidden, "attentions": (hidden,)},
            "logits": {"loss": None, "logits": logits, "features": hidden},
            "exits": [logits, logits * 2],
            "pair": ([hidden], [logits, logits * 2]),
            "unequal": (logits, hidden),
            "image": logits[:, :, None, None],
            "text": "cat",
            "too many hidden": ([hidden] * 4, [logits, logits * 2]),
        }
        return forms[self.form]


def plain(classes: int = 3) -> tuple[nn.Module, Tensor]:
    return Plain(classes), torch.randn(2, 4)


def wide() -> tuple[nn.Module, dict[str, Tensor]]:
    """64 KiB of weights."""

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 64)
            self.last = nn.Linear(64, 64)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.relu(self.layer(x)))

    return Wide(), {"x": torch.randn(2, 64)}


def returns(form: str) -> tuple[nn.Module, Tensor]:
    return Returns(form), torch.randn(2, 4)


def by_name(kind: str) -> tuple[nn.Module, Tensor]:
    network: nn.Module = globals()[kind]()
    return network, torch.randn(2, 4)


def without_examples() -> nn.Module:
    return Plain()


def one_example_row() -> tuple[nn.Module, tuple[Tensor]]:
    return Plain(), (torch.randn(1, 4),)


def wrong_example() -> tuple[nn.Module, Tensor]:
    return Plain(), torch.randn(2, 5)


def raises() -> nn.Module:
    raise KeyError("no weights here\nand a second line")


def leaves() -> nn.Module:
    raise SystemExit(2)


def text() -> str:
    return "cat"


class TwoDynamicAxes(nn.Module):
    """(N, L, 4) and (N, M, 4) -> (N, L, M)."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ right.transpose(1, 2)


instance = Plain()
