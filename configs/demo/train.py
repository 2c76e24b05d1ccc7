"""Re-create `network.onnx` and the embedded images: needs the `[torch,partition]` extras.

    python configs/demo/train.py --data /usr/share/datasets/fashion-mnist

trains on the 60,000 training images of Fashion-MNIST (Debian: `apt install dataset-fashion-mnist`),
never looking at the test split, and writes `network.onnx` and `fashion-mnist-test.npz` beside this
file, and `training.json` with the accuracy of every exit on the test split.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
from network import MultiExitNetwork
from torch import Tensor, nn

HERE = Path(__file__).parent
MEAN, STD = 0.2860, 0.3530  # of the training pixels, in [0, 1]
EXIT_WEIGHTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.2)
DISTIL = 0.5  # share of each early exit's loss that comes from the final exit's answer
OPSET, IR = 18, 10  # read by JetPack 6: TensorRT 10.3, onnxruntime 1.18


def read_split(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """One split as (N, 28, 28) uint8 images and (N,) int64 labels, from the gzipped IDX files."""
    with gzip.open(folder / f"{name}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    return images, labels


def normalised(images: np.ndarray) -> Tensor:
    """uint8 (N, 28, 28) -> float32 (N, 1, 28, 28)."""
    return ((torch.from_numpy(images.copy()).float() / 255 - MEAN) / STD).unsqueeze(1)


def augmented(batch: Tensor, rng: torch.Generator) -> Tensor:
    """Random flip, shift by up to 2 pixels, and one erased 6x6 square."""
    flip = torch.rand(len(batch), generator=rng) < 0.5
    batch = torch.where(flip[:, None, None, None], batch.flip(3), batch)
    dx, dy = (int(v) for v in torch.randint(-2, 3, (2,), generator=rng))
    batch = torch.roll(batch, (dx, dy), (2, 3))
    x, y = (int(v) for v in torch.randint(0, 22, (2,), generator=rng))
    erase = torch.rand(len(batch), generator=rng) < 0.3
    batch[erase, :, x : x + 6, y : y + 6] = 0.0
    return batch


def joint_loss(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Weighted cross-entropy of all exits; early exits also learn from the final one."""
    final = logits[-1].detach().softmax(1)
    total = EXIT_WEIGHTS[-1] * nn.functional.cross_entropy(logits[-1], labels)
    for weight, early in zip(EXIT_WEIGHTS[:-1], logits[:-1], strict=True):
        hard = nn.functional.cross_entropy(early, labels)
        soft = nn.functional.cross_entropy(early, final)
        total = total + weight * ((1 - DISTIL) * hard + DISTIL * soft)
    return total


def train(images: Tensor, labels: Tensor, epochs: int, seed: int) -> MultiExitNetwork:
    """SGD with a one-cycle rate; returns the exponential average of the weights."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    network = MultiExitNetwork().to(memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    batch_size, steps = 128, epochs * (len(images) // 128)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.15, steps, pct_start=0.2)
    for epoch in range(epochs):
        started, order = time.perf_counter(), torch.randperm(len(images), generator=rng)
        for index in order[: steps // epochs * batch_size].split(batch_size):
            batch = augmented(images[index], rng).contiguous(memory_format=torch.channels_last)
            loss = joint_loss(network(batch)[1], labels[index])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            follow(average, network, decay=0.998)
        print(f"epoch {epoch + 1}/{epochs}  loss {loss.item():.3f}  {time.perf_counter() - started:.0f} s", flush=True)
    return average.eval()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `average` towards `network`, buffers (BatchNorm statistics) included."""
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)


@torch.no_grad()
def accuracies(network: MultiExitNetwork, images: Tensor, labels: Tensor) -> list[float]:
    """Accuracy of every exit."""
    logits = [network(chunk)[1] for chunk in images.split(1000)]
    return [
        float((torch.cat(exit_logits).argmax(1) == labels).float().mean()) for exit_logits in zip(*logits, strict=True)
    ]


def export(network: MultiExitNetwork, path: Path) -> None:
    """One ONNX file, dynamic batch, every hidden state and exit a named output."""
    import onnx

    names = [f"hidden_{k}" for k in range(1, 6)] + [f"exit_{k}" for k in range(1, 7)]
    network = network.to(memory_format=torch.contiguous_format)
    program = torch.onnx.export(
        network,
        (torch.zeros(2, 1, 28, 28),),
        input_names=["image"],
        output_names=names,
        dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=64)}},
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
    )
    model = program.model_proto
    model.ir_version = IR
    for node in model.graph.node:  # stack traces of this machine are not part of the network
        kept = [p for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    partial = path.with_suffix(".partial")
    onnx.save(model, str(partial))
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four IDX files")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    images, labels = read_split(options.data, "train")
    test_images, test_labels = read_split(options.data, "t10k")
    np.savez_compressed(options.out / "fashion-mnist-test.npz", images=test_images, labels=test_labels.astype(np.uint8))
    started = time.perf_counter()
    network = train(normalised(images), torch.from_numpy(labels), options.epochs, options.seed)
    export(network, options.out / "network.onnx")
    exits = accuracies(network, normalised(test_images), torch.from_numpy(test_labels))
    record = {
        "test_accuracy_per_exit": exits,
        "epochs": options.epochs,
        "seed": options.seed,
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    (options.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
