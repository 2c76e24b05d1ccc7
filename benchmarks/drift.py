"""What a camera notices of damaged pictures, and when: python -m benchmarks.drift [--quick] [--json FILE]

The demo's network on Fashion-MNIST: histograms of raw confidences of 5,000 pictures, then streams of others, each
damaged in one way from its first frame.  Exit 1 answers at 0.9 or more, the whole network else.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.calibration import demo_traces
from benchmarks.harness import Goal, arguments, at_least, at_most, report
from split_core.drift.histogram import histogram
from split_core.drift.monitor import DriftMonitor
from split_core.readings import softmax
from split_core.resources import config_path

THRESHOLD = 0.9
CALIBRATED, FRAMES = 5000, 3000
LOST = 0.01  # of the accuracy of early answers

Images = NDArray[np.uint8]
Damage = Callable[[Images], Images]


def each(change: Callable[[Image.Image], Image.Image]) -> Damage:
    return lambda images: np.stack([np.asarray(change(Image.fromarray(image)), np.uint8) for image in images])


def jpeg(quality: int) -> Damage:
    def saved(image: Image.Image) -> Image.Image:
        data = io.BytesIO()
        image.save(data, "JPEG", quality=quality)
        return Image.open(io.BytesIO(data.getvalue()))

    return each(saved)


def blur(radius: float) -> Damage:
    return each(lambda image: image.filter(ImageFilter.GaussianBlur(radius)))


def darker(factor: float) -> Damage:
    return lambda images: (images * factor).astype(np.uint8)


def noise(sigma: float) -> Damage:
    rng = np.random.default_rng(0)
    return lambda images: np.clip(images + rng.normal(0, sigma, images.shape), 0, 255).astype(np.uint8)


DAMAGES: dict[str, Damage] = {
    "none": lambda images: images,
    **{f"blur {radius} px": blur(radius) for radius in (0.3, 0.5, 0.7, 1.0)},
    **{f"brightness x{factor}": darker(factor) for factor in (0.9, 0.8, 0.65, 0.5)},
    **{f"noise {sigma}": noise(sigma) for sigma in (4, 8, 16, 32)},
    **{f"jpeg quality {quality}": jpeg(quality) for quality in (75, 40, 20, 10)},
}


def main() -> None:
    options = arguments(__doc__)
    frames = FRAMES // 3 if options.quick else FRAMES
    with np.load(config_path("demo/fashion-mnist-test.npz")) as data:
        images, labels = data["images"], data["labels"]
    images, labels = images.reshape(-1, 28, 28), labels.astype(np.int64)
    confidence, _ = read(images[:CALIBRATED], labels[:CALIBRATED])
    histograms = tuple(histogram(column) for column in confidence.T)
    stream = slice(CALIBRATED, CALIBRATED + frames)
    rows = {}
    for name, damage in DAMAGES.items():
        rows[name] = row(*read(damage(images[stream]), labels[stream]), labels[stream], DriftMonitor(histograms))
    report("drift", rows, goals(rows), options)


def read(images: Images, labels: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Raw confidences and answers of every exit, (N, K)."""
    probabilities = softmax(demo_traces(images, labels).logits)
    return probabilities.max(-1), probabilities.argmax(-1)


def row(
    confidence: NDArray[np.float64], answer: NDArray[np.int64], labels: NDArray[np.int64], monitor: DriftMonitor
) -> dict[str, Any]:
    """Accuracy, of all answers and of those of exit 1, and after how many frames the first detector fired."""
    early = confidence[:, 0] >= THRESHOLD
    fired: dict[str, int] = {}
    for frame, value in enumerate(confidence[:, 0].tolist(), 1):
        for finding in monitor.see(1, value, THRESHOLD):
            if finding.drift.fired:
                fired.setdefault(finding.detector, frame)
    return {
        "accuracy": float((np.where(early, answer[:, 0], answer[:, -1]) == labels).mean()),
        "early_accuracy": float((answer[early, 0] == labels[early]).mean()),
        "early_share": float(early.mean()),
        "fires_after": min(fired.values(), default=None),
        "fired": fired,
    }


def goals(rows: dict[str, dict[str, Any]]) -> list[Goal]:
    clean = rows["none"]["early_accuracy"]
    worse = [row for row in rows.values() if row["early_accuracy"] < clean - LOST]
    seen = sum(row["fires_after"] is not None for row in worse)
    false = int(rows["none"]["fires_after"] is not None)
    return [
        at_least("damages that cost early answers a point, noticed", seen / max(1, len(worse)), "share", 1.0, "all"),
        at_most("alarms on clean pictures", false, "alarms", 0.0, "none"),
    ]


if __name__ == "__main__":
    main()
