"""The demo's network: a small residual CNN for 28x28 images, six segments, an exit after each.

Only `train.py` uses this file; the runtime sees the exported `network.onnx` and needs no torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLASSES = 10


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut; `stride` 2 halves the sides."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != channels_in:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def stem(channels: int) -> nn.Module:
    """(N, 1, 28, 28) -> (N, channels, 14, 14)."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, 1, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, 2, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def exit_head(channels: int, side: int) -> nn.Module:
    """Average-pool to `side` x `side`, then one linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Linear(channels * side * side, CLASSES))


class MultiExitNetwork(nn.Module):
    """Six segments; `forward` gives the five hidden states that cross the cuts and six logits."""

    def __init__(self) -> None:
        super().__init__()
        self.segments = nn.ModuleList(
            [
                stem(16),  # cut 1: 16 x 14 x 14
                Block(16, 24),  # cut 2: 24 x 14 x 14
                Block(24, 48, stride=2),  # cut 3: 48 x 7 x 7
                Block(48, 64),  # cut 4: 64 x 7 x 7
                Block(64, 64),  # cut 5: 64 x 7 x 7
                nn.Sequential(Block(64, 128, stride=2), Block(128, 128)),
            ]
        )
        # 14x14 pools to 2x2; 7x7 only to 1x1, because TensorRT and the exporter want even windows.
        shapes = [(16, 2), (24, 2), (48, 1), (64, 1), (64, 1), (128, 1)]
        self.heads = nn.ModuleList([exit_head(channels, side) for channels, side in shapes])

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Normalised (N, 1, 28, 28) float32 -> 5 hidden states and 6 logits (N, 10)."""
        hidden, logits = [], []
        for segment, head in zip(self.segments, self.heads, strict=True):
            image = segment(image)
            hidden.append(image)
            logits.append(head(image))
        return hidden[:-1], logits
