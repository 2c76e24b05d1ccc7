"""The steps before the stream: partition, calibrate, trace, profile, keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from split_core.demo.processes import run
from split_core.demo.setting import Setting
from split_core.resources import config_path

Tell = Callable[[str, float, str], None]  # step, seconds, what came out
Busy = Callable[[str], AbstractContextManager[object]]  # shows that a step is under way


@dataclass
class Workshop:
    """Where everything lies.

    Attributes:
        out: the demo's folder.
        tell: is told about every finished step.
        busy: entered while a step runs.
        seconds: how long each step took.
    """

    out: Path
    setting: Setting
    tell: Tell
    busy: Busy = nullcontext
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

    def step(
        self, name: str, /, *words: object, told: Callable[[dict[str, Any]], str], **options: object
    ) -> dict[str, Any]:
        """Run one command with `--json`.

        Args:
            name: of the step.
            words: the command and its arguments.
            told: makes a line of the command's answer.
            options: `take="0:5"` becomes `--take 0:5`.

        Raises:
            StepFailed: it ended with an error.
        """
        started_s = time.monotonic()
        flags = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
        with self.busy(name):
            said = run([str(word) for word in (*words, *flags, "--json")], self.log(name))
        answer: dict[str, Any] = json.loads(said)
        self.seconds[name] = round(time.monotonic() - started_s, 2)
        self.tell(name, self.seconds[name], told(answer))
        return answer


def prepare(shop: Workshop) -> dict[str, Any]:
    """Everything up to the stream; returns the JSON answers of the steps, by name."""
    network = shop.step(
        "partition",
        "partition",
        config_path("demo/network.onnx"),
        out=shop.out / "bundles",
        name="fashion",
        version="1",
        config=config_path("demo/network.yaml"),
        told=lambda answer: f"bundle {answer['id'][:12]}, certificate passed",
    )
    calibrated = _calibrate(shop)
    trace = shop.step(
        "trace",
        "trace",
        shop.bundle,
        data=shop.images,
        take=shop.setting.stream,
        policy=shop.policy("any"),
        out=shop.stream,
        told=lambda answer: f"{answer['samples']} frames through all {len(answer['accuracy'])} exits, for replay",
    )
    profile = shop.step(
        "profile",
        "profile",
        shop.bundle,
        data=shop.images,
        policy=shop.policy("any"),
        whole_ms=shop.setting.whole_ms,
        out=shop.profile,
        told=lambda answer: f"whole network {shop.setting.whole_ms:g} ms at slow-down {answer['slowdown']:.1f}",
    )
    shop.step(
        "keys",
        "keys",
        shop.out / "keys",
        told=lambda answer: f"CURVE pair in {Path(answer['public']).parent}",
    )
    return {"partition": network, "calibrate": calibrated, "trace": trace, "profile": profile}


def _calibrate(shop: Workshop) -> dict[str, Any]:
    """Both policy files: they differ in what may leave the device."""
    setting, weights = shop.setting, shop.setting.objective
    answer = shop.step(
        "calibrate",
        "calibrate",
        shop.bundle,
        data=shop.images,
        take=setting.calibrate,
        out=shop.policy("any"),
        ms=weights.ms,
        kb=weights.kb,
        cloud_ms=weights.cloud_ms,
        mu=weights.mu,
        rate=setting.rate_mbit,
        slowdown=setting.nominal_slowdown,
        told=lambda answer: f"policy {answer['id'][:12]}, codecs {' and '.join(answer['file']['codecs'].values())}",
    )
    shop.policy("hidden").write_bytes(shop.policy("any").read_bytes())
    shop.step(
        "privacy",
        "policy",
        "set",
        shop.policy("hidden"),
        "ship=hidden",
        told=lambda answer: f"policy {answer['id'][:12]}: pixels never leave the device",
    )
    return answer
