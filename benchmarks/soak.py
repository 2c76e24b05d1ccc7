"""Does anything grow?  python -m benchmarks.soak [--minutes 60] [--calm] [--quick] [--json FILE]

A camera's process at full rate (every frame of a stream as soon as the last one was taken, and a second camera beside
it) against a real worker's, both over a link that now and then falls silent, freezes or loses its worker; with decision
logs that rotate, saved state, outcomes, audits, metrics that are scraped, a policy store that moves its pointer and
settings that are read again.  Memory, threads and descriptors of both are sampled, and a line is fitted to what comes
after the warm-up; a worker's lives are fitted together, each from its own height.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import yaml

from benchmarks.harness import Goal, at_most, parser_of, report
from edge_runtime import profiling
from partitioner.build import Wish, partition
from partitioner.manifest import Identity, NetworkFile
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.config import load
from split_core.demo.processes import Background
from split_core.policy import BanditSection, CodecSection, ExitSection, PolicyFile
from split_core.policy_store import PolicyStore
from split_core.telemetry.log_summary import summarised
from split_core.transport.keys import make_keys

DEMO = Path(__file__).parent.parent / "configs" / "demo"
KINDS = ("rss_mb", "threads", "descriptors")
ALLOWED = {"rss_mb": 2.0, "threads": 0.5, "descriptors": 0.5}  # of growth by the fitted line, over the whole run
SETTLED = 0.25  # of the run, and of each life of a worker: caches fill, allocators find their size


@dataclass
class Samples:
    """What was seen of one process.

    Attributes:
        at_s: seconds since the start.
        values: one row of `KINDS` per sample.
    """

    at_s: list[float] = field(default_factory=list)
    values: list[tuple[float, ...]] = field(default_factory=list)

    def take(self, pid: int, now: float) -> None:
        """Look at a process, if it is there."""
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            rss_mb = int(status["VmRSS"].split()[0]) / 1e3
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            self.at_s.append(now)
            self.values.append((rss_mb, float(status["Threads"]), float(descriptors)))


class Site:
    """Files, the worker, the link and the camera, as real processes.

    Args:
        folder: for everything.
        quick: small logs, so that they rotate in a minute, too.
    """

    def __init__(self, folder: Path, quick: bool) -> None:
        self._folder = folder
        make_keys(folder, "worker")
        self.bundle = _bundle(folder)
        self.store, self.versions = _store(folder, self.bundle)
        self._listen = "tcp://127.0.0.1:0"
        self.worker = self.start_worker()
        self._listen = str(self.worker.ready["address"])
        self._link = Background(["link", "--to", self._listen, "--delay", "1"], folder / "link.log", talks=True)
        address = json.loads(self._link.hear())["address"]
        self.settings = folder / "edge.yaml"
        self.settings.write_text(yaml.safe_dump(_settings(folder, self.bundle, address, 0.5 if quick else 8.0)))
        words = ["edge", "run", str(self.settings), "--json"]
        self.edge = Background(words, folder / "edge.log", ready_file=folder / "edge-ready.json")

    def start_worker(self) -> Background:
        """One more life."""
        config = {
            "listen": self._listen,
            "bundles": [str(self.bundle)],
            "curve": {"secret_key": str(self._folder / "worker.key_secret")},
            "http": "127.0.0.1:0",
        }
        path, ready = self._folder / "cloud.yaml", self._folder / "worker-ready.json"
        path.write_text(yaml.safe_dump(config))
        words = ["cloud", str(path), "--ready-file", str(ready)]
        self.worker = Background(words, self._folder / "worker.log", ready_file=ready)
        return self.worker

    def scrape(self) -> None:
        """As Prometheus would."""
        for address in (self.edge.ready["http"], self.worker.ready["http"]):
            with suppress(OSError), urlopen(f"{address}/metrics", timeout=2) as answer:
                answer.read()

    def outages(self, pause_s: float) -> Iterator[str]:
        """One after the other, for ever; each is over when the next is asked for."""
        for kind in itertools.cycle(("silence", "policy", "freeze", "settings", "restart")):
            if kind == "silence":
                self._link.say('{"black_hole": true}')
                time.sleep(pause_s)
                self._link.say('{"black_hole": false}')
            elif kind == "freeze":
                self.worker.signal(signal.SIGSTOP)
                time.sleep(pause_s)
                self.worker.signal(signal.SIGCONT)
            elif kind == "restart":
                self.worker.signal(signal.SIGKILL)
                self.worker.end()
                time.sleep(pause_s)
                self.start_worker()
            elif kind == "policy":
                [other] = {*self.versions} - {self.store.pointer("active")}
                self.store.promote("shadow", other)
                time.sleep(pause_s)
                self.store.promote("active", other)
            else:
                self.edge.signal(signal.SIGHUP)
            yield kind

    def end(self) -> None:
        """The camera drains and says what it did."""
        for process in (self.edge, self._link, self.worker):
            process.end()


def _bundle(folder: Path) -> Path:
    network = load(DEMO / "network.yaml", NetworkFile)
    identity = Identity(name="fashion", version="1", preprocess=network.preprocess, labels=network.labels)
    read = read_network(str(DEMO / "network.onnx"))
    return partition(read, folder, identity=identity, wish=Wish(), trial=Trial(), clock=time.time)


def _store(folder: Path, path: Path) -> tuple[PolicyStore, list[str]]:
    """Two policies that take turns, and their names."""
    bundle, store, file = bundles.load(path), PolicyStore(folder / "store"), folder / "policy.yaml"
    images = np.load(DEMO / "fashion-mnist-test.npz")["images"][:40, ..., None]
    versions = []
    measured = profiling.profile(bundle, OnnxRuntimeBackend(), list(images), name="soak", codecs=CodecSection())
    profiles.save(measured, folder / "profile.yaml")
    for version in (1, 2):
        exits = (ExitSection(),) * bundle.manifest.exits
        bandit = BanditSection(name="grid" if version == 1 else "ucbee")
        policies.save(PolicyFile(version=version, bundle_id=bundle.id, exits=exits, bandit=bandit), file)
        versions.append(store.add(file))
    store.promote("active", versions[0])
    return store, versions


def _settings(folder: Path, bundle: Path, address: str, decisions_mb: float) -> dict[str, Any]:
    frames = {"kind": "array", "options": {"path": str(DEMO / "fashion-mnist-test.npz"), "loop": True}}
    return {
        "bundle": str(bundle),
        "policy": str(folder / "store"),
        "profile": str(folder / "profile.yaml"),
        "streams": {"door": {"source": {**frames, "every": True}}, "yard": {"source": {**frames, "fps": 20}}},
        "link": {"address": address, "server_key": str(folder / "worker.key")},
        "audit": {"share": 0.05},
        "state": str(folder / "state-{camera}.json"),
        "decisions": str(folder / "decisions-{camera}.jsonl"),
        "decisions_mb": decisions_mb,
        "outcomes": "/dev/null",
        "http": "127.0.0.1:0",
        "ready_file": str(folder / "edge-ready.json"),
    }


def growth(lives: Sequence[Samples], total_s: float) -> dict[str, dict[str, float]]:
    """Of each of `KINDS`: the slope of the settled samples per hour, and what that makes over the whole run.

    The median of the slopes between all pairs of samples of the same life (Theil and Sen): a step that is taken back
    counts for nothing, and neither does the height at which a life begins.
    """
    slopes: list[np.ndarray] = []
    for life in lives:
        at, values = np.array(life.at_s), np.array(life.values)
        settled = at >= at[0] + SETTLED * (at[-1] - at[0]) if len(at) else at > 0
        at, values = at[settled], values[settled]
        first, second = np.triu_indices(len(at), 1)
        if len(first):
            slopes.append((values[second] - values[first]) / (at[second] - at[first])[:, None])
    per_s = np.median(np.concatenate(slopes), axis=0) if slopes else np.full(len(KINDS), np.nan)
    last = np.array([life.values[-1] for life in lives if life.values])
    return {
        kind: {"per_hour": per_s[k] * 3600, "over_the_run": per_s[k] * total_s, "at_the_end": last[-1, k]}
        for k, kind in enumerate(KINDS)
    }


def soak(site: Site, minutes: float, every_s: float, *, calm: bool) -> dict[str, Any]:
    """Play it, with no outage, change or restart when it is to be calm; returns figures."""
    pause_s = min(4.0, minutes)
    edge, lives, happened = Samples(), {site.worker.process.pid: Samples()}, dict.fromkeys(("restart",), 0)
    outages = site.outages(pause_s)
    started_s = time.monotonic()
    next_outage_s = gap_s = max(5.0, minutes * 60 / 60)
    while (now := time.monotonic() - started_s) < minutes * 60:
        if site.edge.process.poll() is not None:
            raise SystemExit(f"the camera ended: {site.edge.log.read_text()[-2000:]}")
        edge.take(site.edge.process.pid, now)
        lives.setdefault(site.worker.process.pid, Samples()).take(site.worker.process.pid, now)
        site.scrape()
        if now >= next_outage_s and not calm:
            kind = next(outages)
            happened[kind] = happened.get(kind, 0) + 1
            next_outage_s = now + gap_s
        time.sleep(every_s)
    total_s = time.monotonic() - started_s
    return {
        "minutes": total_s / 60,
        "samples": len(edge.at_s),
        "happened": happened,
        "edge": growth([edge], total_s),
        "edge_rss_mb_through_the_run": [round(row[0], 1) for row in edge.values[:: max(1, len(edge.values) // 12)]],
        "worker": growth([life for life in lives.values() if len(life.at_s) > 5], total_s),
    }


def goals_of(figures: dict[str, Any]) -> list[Goal]:
    """Nothing grows; every frame that was taken has its outcome."""
    goals = [
        at_most(f"growth of {kind}, {who}", figures[who][kind]["over_the_run"], "over the run", ALLOWED[kind], "none")
        for who in ("edge", "worker")
        for kind in KINDS
    ]
    run = figures["run"]
    missing = run["frames"] - run["dropped"] - run["outcomes"]
    goals.append(at_most("frames without an outcome", missing, "", 0, "exactly one outcome"))
    return goals


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--calm", action="store_true", help="nothing happens but frames")
    parser.add_argument("--folder", type=Path, help="keep the files of the run here")
    options: argparse.Namespace = parser.parse_args()
    minutes = 1.0 if options.quick else options.minutes
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        site = Site(folder, minutes < 5)
        try:
            figures = soak(site, minutes, every_s=max(0.5, minutes * 60 / 1500), calm=options.calm)
        finally:
            site.end()
        summary = [line for line in site.edge.log.read_text().splitlines() if line.startswith('{"frames"')]
        logs = [summarised(folder / f"decisions-{camera}.jsonl") for camera in ("door", "yard")]
        figures["run"] = json.loads(summary[-1])
        figures["logs"] = {Path(log.log).name: {"files": log.files, "lost": log.lost} for log in logs}
    report("soak", figures, goals_of(figures), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
