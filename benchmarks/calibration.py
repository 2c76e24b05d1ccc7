"""Asked against reached, over many random splits: python -m benchmarks.calibration [--quick] [--json FILE] [--data DIR]

1. the demo's own exits: risk controls (F1-F3 of the acceptance list) and PCEE (G1), and what blur does to PCEE (G2);
   how often the bounds break their promise when calibration sets are independent draws, which splits of one pool are
   not; what conformal sets cover;
2. with --data DIR or OFFRAMP_DATA: the same controls on DIR/traces/calm-cnndm.npz, a published log.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.harness import Goal, arguments, at_least, at_most, report
from partitioner.calibrate.abstain import abstaining, probabilities_of
from partitioner.calibrate.exit_rule import ExitRule, at_exits, exits_by_threshold, mean_cost, shared_thresholds
from partitioner.calibrate.forms import calibrate
from partitioner.calibrate.losses import consistency
from partitioner.calibrate.pcee import PCEE
from partitioner.calibrate.record import raw_reader
from partitioner.calibrate.risk import RISK_CONTROLS
from split_core.criteria.build import make_criterion
from split_core.readings import Reader
from split_core.tensors import FloatArray
from split_core.traces import Traces

DEMO = Path(__file__).parent.parent / "configs" / "demo"
MEAN, DEVIATION = 0.2860, 0.3530  # of configs/demo/network.yaml
MAPS, KEPT = 2000, 4000  # samples that fit maps, and samples that are split again and again
BLUR_PIXELS = 1.0
DELTA = 0.1
CALM = ((0.03, 100), (0.05, 100), (0.10, 100), (0.05, 1000))
OURS = ((0.02, 500), (0.05, 500), (0.05, 100))
ACCURACIES = (0.8, 0.85, 0.9)
SLACK = 0.015  # of G1
ALPHAS = (0.05, 0.1)


def trials(losses: FloatArray, cost: FloatArray, epsilon: float, n: int, splits: int) -> dict[str, Any]:
    """Every control on the same `splits` random calibration sets; where it finds nothing, nothing leaves early.

    Args:
        losses: (N, L), thresholds descending; column 0 leaves nothing early.
        cost: (L,) mean cost of each threshold.
        epsilon: risk that is asked for.
        n: samples that calibrate; the rest test.
        splits: how many.
    """
    rows: dict[str, Any] = {}
    for name in RISK_CONTROLS:
        control, risks, costs = RISK_CONTROLS.load(name), [], []
        for seed in range(splits):
            order = np.random.default_rng(seed).permutation(len(losses))
            place = control(losses[order[:n]], epsilon=epsilon, delta=DELTA) or 0
            risks.append(float(losses[order[n:], place].mean()))
            costs.append(float(cost[place]))
        rows[name] = {
            "asked": epsilon,
            "reached": float(np.mean(risks)),
            "error": float(np.std(risks) / np.sqrt(splits)),
            "broken": float(np.mean(np.array(risks) > epsilon)),
            "layers": float(np.mean(costs)),
        }
    return rows


def goals_of(where: str, rows: dict[str, Any], splits: int) -> list[Goal]:
    """F1 to F3."""
    epsilon, crc = rows["crc"]["asked"], rows["crc"]
    allowed = DELTA + 3 * (DELTA * (1 - DELTA) / splits) ** 0.5
    layers = [rows[name]["layers"] for name in ("naive", "crc", "wsr", "ltt")]
    ordered = min(b - a for a, b in itertools.pairwise(layers))
    goals = [at_most(f"F1 {where}: mean risk of CRC", crc["reached"], "", epsilon + 3 * crc["error"], "asked + 3 s.e.")]
    goals += [
        at_most(f"F2 {where}: {name} broken", rows[name]["broken"], "share", allowed, "0.1 + 3 s.e.")
        for name in ("wsr", "ltt")
    ]
    goals.append(at_least(f"F3 {where}: naive <= CRC <= WSR <= LTT", ordered, "layers", -1e-9, "least step"))
    return goals


def on_log(
    where: str, losses: FloatArray, cost: FloatArray, asked: Any, splits: int
) -> tuple[dict[str, Any], list[Goal]]:
    figures: dict[str, Any] = {}
    goals: list[Goal] = []
    for epsilon, n in asked:
        title = f"{where}, risk {epsilon:g}, n = {n}"
        figures[title] = trials(losses, cost, epsilon, n, splits)
        goals += goals_of(title, figures[title], splits)
    return figures, goals


def on_draws(losses: FloatArray, asked: Any, draws: int) -> tuple[dict[str, Any], list[Goal]]:
    """F2 as it is promised: the pool is the population, so its risks are known, and calibration sets are drawn from it.

    Each is drawn with replacement, so all are independent; a split's two halves are not, and splits share samples.
    """
    figures: dict[str, Any] = {}
    goals: list[Goal] = []
    risks, allowed = losses.mean(axis=0), DELTA + 3 * (DELTA * (1 - DELTA) / draws) ** 0.5
    for (epsilon, n), name in itertools.product(asked, ("wsr", "ltt")):
        control, broken = RISK_CONTROLS.load(name), 0
        for seed in range(draws):
            drawn = np.random.default_rng([seed, n]).integers(0, len(losses), n)
            broken += risks[control(losses[drawn], epsilon=epsilon, delta=DELTA) or 0] > epsilon
        title = f"{name} broken in {draws} independent draws, risk {epsilon:g}, n = {n}"
        figures[title] = broken / draws
        goals.append(at_most(f"F2 {title}", broken / draws, "share", allowed, "0.1 + 3 s.e."))
    return figures, goals


def on_sets(probabilities: FloatArray, labels: NDArray[np.int64], splits: int) -> tuple[dict[str, Any], list[Goal]]:
    """Conformal sets of the worst covered exit, made of one half of the samples and counted on the other."""
    figures: dict[str, Any] = {}
    goals: list[Goal] = []
    for alpha in ALPHAS:
        made = []
        for seed in range(splits):
            order = np.random.default_rng(seed).permutation(len(labels))
            made.append(abstaining(probabilities[order], labels[order], alpha, per_class=False)[0])
        coverage = np.array([one.coverage for one in made])
        unsure = 1.0 - np.mean([one.single for one in made], axis=0)
        least, error = coverage.mean(axis=0).min(), coverage.std(axis=0).max() / splits**0.5
        title = f"conformal sets, alpha {alpha:g}"
        figures[title] = {"covered": coverage.mean(axis=0).round(4).tolist(), "unsure": unsure.round(4).tolist()}
        goals.append(at_least(f"{title}: least mean coverage", least, "share", 1 - alpha - 3 * error, "asked - 3 s.e."))
    return figures, goals


def calm(path: Path, splits: int) -> tuple[dict[str, Any], list[Goal]]:
    with np.load(path) as log:
        losses = (log["score"][0] - log["score"]).T.astype(np.float64)
        return on_log("CALM", losses, log["mean_layers"], CALM, splits)


def pcee_trials(traces: Traces, shifted: Traces, splits: int) -> tuple[dict[str, Any], list[Goal]]:
    """G1: accuracy of what exits answer on the other half; G2: of the same rule on shifted images."""
    figures: dict[str, Any] = {}
    goals: list[Goal] = []
    for name, accuracy in itertools.product(PCEE, ACCURACIES):
        here, there, early = [], [], []
        for seed in range(splits):
            order = np.random.default_rng(seed).permutation(traces.samples)
            half = traces.samples // 2
            rule = ExitRule(PCEE[name](traces.rows(order[:half]), accuracy))
            other = order[half:]
            here.append(exited_accuracy(rule, traces.rows(other)))
            there.append(exited_accuracy(rule, shifted.rows(other)))
            early.append(float((rule.exits(traces.rows(other)) < traces.exits - 1).mean()))
        reached, blurred = float(np.nanmean(here)), float(np.nanmean(there))
        figures[f"{name}, accuracy {accuracy:g}"] = {"reached": reached, "shifted": blurred, "early": np.mean(early)}
        goals.append(at_least(f"G1 {name} at {accuracy:g}", reached, "accuracy", accuracy - SLACK, "asked - 1.5 pp"))
    return figures, goals


def exited_accuracy(rule: ExitRule, traces: Traces) -> float:
    exits = rule.exits(traces)
    early = exits < traces.exits - 1
    return float(traces.correct[np.arange(traces.samples), exits][early].mean()) if early.any() else float("nan")


def demo_traces(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Traces:
    """What the demo's exits say, with no temperature and no map."""
    session = onnxruntime.InferenceSession(DEMO / "network.onnx", providers=["CPUExecutionProvider"])
    heads = [output.name for output in session.get_outputs() if output.name.startswith("exit_")]
    inputs = ((images[:, None] / 255.0 - MEAN) / DEVIATION).astype(np.float32)
    parts = [np.stack(session.run(heads, {"image": part}), axis=1) for part in np.array_split(inputs, 40)]
    unread = np.zeros((len(labels), len(heads)))
    logits = np.concatenate(parts)
    return Traces(unread, unread.astype(np.int64), labels, logits).read_with(raw_reader(len(heads)))


def blurred(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    blur = ImageFilter.GaussianBlur(BLUR_PIXELS)
    return np.stack([np.asarray(Image.fromarray(image).filter(blur)) for image in images])


def demo(splits: int) -> tuple[dict[str, Any], list[Goal]]:
    """Maps from the first samples; everything else on the others, which are split again and again."""
    with np.load(DEMO / "fashion-mnist-test.npz") as file:
        images, labels = file["images"][: MAPS + KEPT], file["labels"][: MAPS + KEPT].astype(np.int64)
    raw = demo_traces(images, labels)
    here, rest = np.arange(MAPS), np.arange(MAPS, MAPS + KEPT)
    criterion = make_criterion("max_prob", exits=raw.exits)
    reader = Reader(calibrate(raw.rows(here), criterion), criterion)
    read = raw.read_with(reader)
    kept = read.rows(rest)
    exits = exits_by_threshold(kept.confidence, shared_thresholds(read.rows(here).confidence))
    depth = mean_cost(exits, np.arange(1.0, raw.exits + 1))
    figures, goals = on_log("demo", at_exits(consistency(kept), exits), depth, OURS, splits)
    drawn, kept_goals = on_draws(at_exits(consistency(kept), exits), OURS, 20 * splits)
    sets, set_goals = on_sets(probabilities_of(kept, reader), kept.labels, splits)
    shifted = demo_traces(blurred(images[rest]), labels[rest]).read_with(reader)
    more, others = pcee_trials(kept, shifted, splits)
    return {**figures, **drawn, **sets, **more}, [*goals, *kept_goals, *set_goals, *others]


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data", type=Path, default=os.environ.get("OFFRAMP_DATA"))
    given, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    options = arguments(__doc__)
    splits = 50 if options.quick else 200
    figures, goals = demo(splits)
    log = Path(given.data or "") / "traces" / "calm-cnndm.npz"
    if log.exists():
        more, others = calm(log, splits)
        figures, goals = {**figures, **more}, [*goals, *others]
    figures["splits"] = splits
    report("calibration", figures, goals, options)


if __name__ == "__main__":
    main()
