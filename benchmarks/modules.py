"""Plain torch modules with graphs that cutting must get right: concatenations, branches, long skips, exits."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


def convolution(taken: int, made: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU; keeps the sides at stride 1."""
    return nn.Sequential(
        nn.Conv2d(taken, made, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(made), nn.ReLU()
    )


def head(channels: int, classes: int) -> nn.Sequential:
    """Mean over the image, then one linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class DenseBlock(nn.Module):
    """Every layer sees all maps before it, concatenated (Huang et al. 2017)."""

    def __init__(self, channels: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(convolution(channels + k * growth, growth) for k in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class DenseNet(nn.Module):
    """(N, 3, H, W) -> (N, classes)."""

    def __init__(self, classes: int, layers: tuple[int, ...] = (6, 12, 24), growth: int = 32) -> None:
        super().__init__()
        channels = 2 * growth
        self.stem = nn.Sequential(convolution(3, channels, 3, 2), nn.MaxPool2d(2))
        self.stages = nn.ModuleList()
        for count in layers:
            block, wide = DenseBlock(channels, count, growth), channels + count * growth
            channels = wide // 2
            self.stages.append(nn.Sequential(block, convolution(wide, channels, 1), nn.AvgPool2d(2)))
        self.head = head(channels, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        for stage in self.stages:
            x = stage(x)
        return self.head(x)


class InceptionBlock(nn.Module):
    """Four parallel branches, concatenated (Szegedy et al. 2015)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.one = convolution(channels, width, 1)
        self.three = nn.Sequential(convolution(channels, width, 1), convolution(width, width))
        self.five = nn.Sequential(convolution(channels, width, 1), convolution(width, width, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolution(channels, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


class Inception(nn.Module):
    """(N, 3, H, W) -> (N, classes)."""

    def __init__(self, classes: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, width, 3, 2), nn.MaxPool2d(2))
        self.blocks = nn.Sequential(*(InceptionBlock(width if k == 0 else 4 * width, width) for k in range(blocks)))
        self.head = head(4 * width, classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(image)))


class UNet(nn.Module):
    """(N, 3, H, W) -> (N, classes, H, W); skips from every depth to its mirror (Ronneberger et al. 2015)."""

    def __init__(self, classes: int, width: int = 32, depth: int = 4) -> None:
        super().__init__()
        sizes = [width * 2**k for k in range(depth + 1)]
        self.stem = convolution(3, width)
        self.down = nn.ModuleList(convolution(a, b) for a, b in itertools.pairwise(sizes))
        self.up = nn.ModuleList(convolution(a + b, a) for a, b in zip(sizes[-2::-1], sizes[:0:-1], strict=True))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        skips = [self.stem(image)]
        for down in self.down:
            skips.append(down(nn.functional.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for up in self.up:
            x = up(torch.cat([skips.pop(), nn.functional.interpolate(x, scale_factor=2.0)], 1))
        return self.head(x)


class BranchyNet(nn.Module):
    """(N, 3, H, W) -> list of logits (N, classes), the early exits first (Teerapittayanon et al. 2016)."""

    def __init__(self, classes: int, width: int, stages: int = 4) -> None:
        super().__init__()
        sizes = [3, *(width * 2**k for k in range(stages))]
        self.stages = nn.ModuleList(convolution(a, b, 3, 2) for a, b in itertools.pairwise(sizes))
        self.heads = nn.ModuleList(head(channels, classes) for channels in sizes[1:])

    def forward(self, image: Tensor) -> list[Tensor]:
        logits = []
        for stage, branch in zip(self.stages, self.heads, strict=True):
            image = stage(image)
            logits.append(branch(image))
        return logits


class TwoInputs(nn.Module):
    """An image and a vector of measurements, joined late: (N, 3, H, W) and (N, 6) -> (N, classes)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.eye = nn.Sequential(convolution(3, width, 3, 2), convolution(width, width, 3, 2), head(width, width))
        self.gauge = nn.Sequential(nn.Linear(6, width), nn.ReLU())
        self.join = nn.Linear(2 * width, classes)

    def forward(self, image: Tensor, measurements: Tensor) -> Tensor:
        return self.join(torch.relu(torch.cat([self.eye(image), self.gauge(measurements)], 1)))
