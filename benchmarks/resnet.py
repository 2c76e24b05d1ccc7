"""Residual networks for 32x32 images: a pretrained one as others made it, and one of ours that answers early.

Factories for `offramp partition` (`benchmarks.resnet:pretrained`) and for joint training.  Needs the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CLASSES = 10
WIDTHS = (32, 64, 128)  # channels at 16x16, 8x8 and 4x4
LARGE, MIDDLE, SMALL = (1, 5, 3), (1, 2, 2), (1, 1, 1)  # blocks at each


def convolution(taken: int, made: int, stride: int = 1, kernel: int = 3) -> list[nn.Module]:
    """Convolution and BatchNorm."""
    return [nn.Conv2d(taken, made, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(made)]


class Padded(nn.Module):
    """Every second pixel, and zero channels at both ends: the shortcut without weights (He et al. 2015, option A)."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more // 2))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, taken: int, made: int, stride: int, *, padded: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(taken, made, stride)
        self.conv2, self.bn2 = convolution(made, made)
        self.shortcut: nn.Module = nn.Identity()
        if taken != made:
            self.shortcut = Padded(made - taken) if padded else nn.Sequential(*convolution(taken, made, stride, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def stage(taken: int, made: int, count: int, stride: int, *, padded: bool = False) -> nn.Sequential:
    """`count` blocks; the first one has the stride."""
    return nn.Sequential(
        Block(taken, made, stride, padded=padded), *(Block(made, made, 1, padded=padded) for _ in range(count - 1))
    )


class PretrainedResNet20(nn.Module):
    """(N, 3, 32, 32) -> (N, 10): ResNet-20 of He et al. 2015, named as akamaster/pytorch_resnet_cifar10 names it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(3, 16)
        self.layer1 = stage(16, 16, 3, 1, padded=True)
        self.layer2 = stage(16, 32, 3, 2, padded=True)
        self.layer3 = stage(32, 64, 3, 2, padded=True)
        self.linear = nn.Linear(64, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(image)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def pretrained(weights: str) -> tuple[nn.Module, Tensor]:
    """ResNet-20 with weights from a file that `torch.save` wrote; and an example."""
    network = PretrainedResNet20()
    held = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("module."): value for name, value in held.items()})
    return network.eval(), example()


def example() -> Tensor:
    """Two images, as far as an exporter can tell."""
    return torch.zeros(2, 3, 32, 32)


def exit_head(channels: int, inner: int) -> nn.Sequential:
    """More channels, mean over the image, one linear layer."""
    return nn.Sequential(
        *convolution(channels, inner, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inner, CLASSES)
    )


class EarlyResNet(nn.Module):
    """(N, 3, 32, 32) -> a tuple of logits (N, 10), the earliest first.

    There is an exit after every block at 8x8, so that all states that exits read are 64 wide: some criteria
    compare them.  Images shrink at once; what an early exit needs is cheap then.

    Args:
        blocks: at 16x16, 8x8 and 4x4.
        exits: False for the last one only, as a network is that does not answer early.
    """

    def __init__(self, blocks: Sequence[int] = LARGE, *, exits: bool = True) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.stem = nn.Sequential(*convolution(3, first, 2), nn.ReLU(), *stage(first, first, blocks[0], 1))
        self.inner = stage(first, second, blocks[1], 2)
        self.last = nn.Sequential(
            *stage(second, third, blocks[2], 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(third, CLASSES)
        )
        self.heads = nn.ModuleList(exit_head(second, third) for _ in self.inner if exits)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x, logits = self.stem(image), []
        for number, block in enumerate(self.inner):
            x = block(x)
            if len(self.heads):
                logits.append(self.heads[number](x))
        return (*logits, self.last(x))
