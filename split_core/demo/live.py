"""The stream: a worker process, a shaped link, and one edge process per policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from split_core.demo.job import Workshop
from split_core.demo.processes import Background
from split_core.policy import DEFAULT_BANDIT
from split_core.resources import config_path


class Cloud:
    """The worker and the link to it.

    Args:
        shop: where everything lies.
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._listen = "tcp://127.0.0.1:0"
        self.worker = self.start_worker()
        self._listen = str(self.worker.ready["address"])
        setting = shop.setting
        words = ["--to", self._listen, "--rate", str(setting.rate_mbit), "--delay", str(setting.delay_ms)]
        self.link = Background(["link", *words], shop.log("link"), talks=True)
        self.address: str = json.loads(self.link.hear())["address"]

    def start_worker(self) -> Background:
        """Start a worker; the second time at the same address as the first."""
        shop, ready = self._shop, self._shop.out / "worker-ready.json"
        words = [
            "cloud",
            str(config_path("demo/cloud.yaml")),
            "--ready-file",
            str(ready),
            "--set",
            f"listen={self._listen}",
            "--set",
            f"bundles=[{shop.bundle}]",
            "--set",
            f"curve.secret_key={shop.out / 'keys' / 'worker.key_secret'}",
        ]
        self.worker = Background(words, shop.log("worker"), ready_file=ready)
        return self.worker

    def shape(self, **changes: float | bool) -> None:
        """Change the link; returns when it has changed."""
        self.link.say(json.dumps(changes))

    def end(self) -> None:
        """Stop both."""
        self.link.end()
        self.worker.end()


@contextmanager
def cloud(shop: Workshop) -> Iterator[Cloud]:
    """A worker behind the shaped link, stopped at the end."""
    running = Cloud(shop)
    try:
        yield running
    finally:
        running.end()


def edge_words(shop: Workshop, ship: str, name: str, cloud: Cloud, *, frames: int, settings: list[str]) -> list[str]:
    """`offramp edge run` with everything that a run needs; its decision log is `decisions_path`."""
    setting = shop.setting
    log = decisions_path(shop, ship, name)
    log.unlink(missing_ok=True)
    values = [
        f"bundle={shop.bundle}",
        f"policy={shop.policy(ship)}",
        f"profile={shop.profile}",
        f"link.address={cloud.address}",
        f"link.server_key={shop.out / 'keys' / 'worker.key'}",
        f"source.options.path={shop.images}",
        f"source.options.start={setting.stream_start}",
        f"source.fps={setting.fps}",
        f"source.limit={frames}",
        f"deadline_ms={setting.deadline_ms}",
        f"margin_ms={setting.margin_ms}",
        f"decisions={log}",
        *settings,
    ]
    return ["edge", "run", str(config_path("demo/edge.yaml")), *(word for value in values for word in ("--set", value))]


def decisions_path(shop: Workshop, ship: str, name: str) -> Path:
    """The decision log of one live run."""
    return shop.out / "decisions" / f"{ship}-{name}.jsonl"


LIVE: dict[str, dict[str, list[str]]] = {
    "any": {DEFAULT_BANDIT: [], "edge_only": ["bandit.name=edge_only"], "cloud_only": ["bandit.name=cloud_only"]},
    # Cloud only is not to be had when pixels may not leave; next to it comes running one segment and shipping.
    "hidden": {DEFAULT_BANDIT: [], "edge_only": ["bandit.name=edge_only"], "offload_all": ["bandit.name=offload_all"]},
}


def play_live(shop: Workshop, running: Cloud) -> None:
    """Every live run, one after the other, through real processes."""
    for ship, runs in LIVE.items():
        for name, settings in runs.items():
            words = edge_words(shop, ship, name, running, frames=shop.setting.live_frames, settings=settings)
            shop.step(
                f"live {ship} {name}",
                *words,
                told=lambda summary: (
                    f"{summary['outcomes']} answers, {summary['cloud']} by the cloud, "
                    f"{summary['late']} late, p50 {summary['latency_ms']['p50']} ms"
                ),
            )
