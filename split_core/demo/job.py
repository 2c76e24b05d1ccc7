"""The steps before the stream: partition, calibrate, trace, profile, keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from split_core.demo.processes import run
from split_core.demo.setting import Setting
from split_core.resources import config_path

Tell = Callable[[str, float, str], None]  # step, seconds, what came out


@dataclass
class Workshop:
    """Where everything lies.

    Attributes:
        out: the demo's folder.
        tell: is told about every finished step.
        seconds: how long each step took.
    """

    out: Path
    setting: Setting
    tell: Tell
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def bundle(self) -> Path:
        """The bundle's folder."""
        return self.out / "bundles" / "fashion" / "1"

    def policy(self, ship: str) -> Path:
        """The policy file of the run `any` or `hidden`."""
        return self.out / f"policy-{ship}.yaml"

    @property
    def profile(self) -> Path:
        """The hardware profile."""
        return self.out / "profile.yaml"

    @property
    def stream(self) -> Path:
        """The trace of the stream."""
        return self.out / "stream.npz"

    @property
    def images(self) -> Path:
        """The embedded images."""
        return config_path("demo/fashion-mnist-test.npz")

    def log(self, name: str) -> Path:
        """Where a process writes what it says."""
        return self.out / "logs" / f"{name}.log"

    def step(self, name: str, *words: str, told: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
        """Run one command with `--json`; `told` makes a line of its answer.

        Raises:
            StepFailed: it ended with an error.
        """
        started_s = time.monotonic()
        answer: dict[str, Any] = json.loads(run([*words, "--json"], self.log(name)))
        self.seconds[name] = round(time.monotonic() - started_s, 2)
        self.tell(name, self.seconds[name], told(answer))
        return answer


def prepare(shop: Workshop) -> dict[str, Any]:
    """Everything up to the stream; returns the JSON answers of the steps, by name."""
    weights = shop.setting.objective
    answers = {
        "partition": shop.step(
            "partition",
            "partition",
            str(config_path("demo/network.onnx")),
            "--out",
            str(shop.out / "bundles"),
            "--name",
            "fashion",
            "--version",
            "1",
            "--config",
            str(config_path("demo/network.yaml")),
            told=lambda answer: f"bundle {answer['id'][:12]}, certificate passed",
        ),
        "calibrate": shop.step(
            "calibrate",
            "calibrate",
            str(shop.bundle),
            "--data",
            str(shop.images),
            "--take",
            shop.setting.calibrate,
            "--out",
            str(shop.policy("any")),
            "--ms",
            str(weights.ms),
            "--kb",
            str(weights.kb),
            "--cloud-ms",
            str(weights.cloud_ms),
            "--mu",
            str(weights.mu),
            told=lambda answer: f"policy {answer['id'][:12]}",
        ),
        "trace": shop.step(
            "trace",
            "trace",
            str(shop.bundle),
            "--data",
            str(shop.images),
            "--take",
            shop.setting.stream,
            "--policy",
            str(shop.policy("any")),
            "--out",
            str(shop.stream),
            told=lambda answer: f"{answer['samples']} frames through all {len(answer['accuracy'])} exits, for replay",
        ),
        "profile": shop.step(
            "profile",
            "profile",
            str(shop.bundle),
            "--data",
            str(shop.images),
            "--policy",
            str(shop.policy("any")),
            "--whole-ms",
            str(shop.setting.whole_ms),
            "--out",
            str(shop.profile),
            told=lambda answer: f"whole network {shop.setting.whole_ms:g} ms at slow-down {answer['slowdown']:.1f}",
        ),
        "keys": shop.step(
            "keys", "keys", str(shop.out / "keys"), told=lambda answer: f"CURVE pair in {Path(answer['public']).parent}"
        ),
    }
    shop.policy("hidden").write_bytes(shop.policy("any").read_bytes())
    shop.step(
        "privacy",
        "policy",
        "set",
        str(shop.policy("hidden")),
        "ship=hidden",
        told=lambda answer: f"policy {answer['id'][:12]}: pixels never leave the device",
    )
    return answers
