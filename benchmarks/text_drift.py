"""Damaged texts, texts of another domain, and what the drift detectors say of them and when.  For `benchmarks.text`."""

from __future__ import annotations

import ast
import string
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.record import chain_from_bundle, record
from partitioner.chain import Chain
from partitioner.data import Samples
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.drift.ks import ks
from split_core.drift.monitor import DriftMonitor
from split_core.policy import PolicyFile
from split_core.traces import Traces

LEAST_WORDS, MOST_WORDS = 6, 40  # of a text of another domain: as long as a sentence of a review
WINDOW = 300  # texts, of the accuracy beside a ramp
LOST = 0.03  # of that accuracy: two standard errors of such a window are about this
SHOWN = ("psi", "ks", "tokens_ks", "pieces_ks")
LICENCES = Path("/usr/share/common-licenses")

Damage = Callable[[str, np.random.Generator], str]


def typos(share: float) -> Damage:
    """That share of the words gets one letter dropped, doubled, swapped or replaced."""

    def damaged(text: str, rng: np.random.Generator) -> str:
        return " ".join(_mistyped(word, rng) if rng.random() < share else word for word in text.split())

    return damaged


def _mistyped(word: str, rng: np.random.Generator) -> str:
    place, kind = int(rng.integers(len(word))), int(rng.integers(4))
    here, behind = word[:place], word[place + 1 :]
    if kind == 0 and len(word) > 1:
        return here + behind
    if kind == 1:
        return here + 2 * word[place] + behind
    if kind == 2 and behind:
        return here + behind[0] + word[place] + behind[1:]
    return here + str(rng.choice(list(string.ascii_lowercase))) + behind


def first(words: int) -> Damage:
    return lambda text, _: " ".join(text.split()[:words])


def without(share: float) -> Damage:
    """That share of the words is gone."""

    def damaged(text: str, rng: np.random.Generator) -> str:
        kept = [word for word in text.split() if rng.random() >= share]
        return " ".join(kept) or text

    return damaged


def shuffled(text: str, rng: np.random.Generator) -> str:
    return " ".join(rng.permutation(text.split()).tolist())


DAMAGES: dict[str, Damage] = {
    "none": lambda text, _: text,
    **{f"typos in {share:.0%} of the words": typos(share) for share in (0.1, 0.25, 0.5)},
    **{f"first {words} words": first(words) for words in (8, 4)},
    **{f"{share:.0%} of the words gone": without(share) for share in (0.25, 0.5)},
    "words in another order": shuffled,
}


def docstrings(count: int) -> list[str]:
    """First sentences of the standard library's docstrings."""
    folder, found = Path(sysconfig.get_paths()["stdlib"]), []
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        for text in filter(None, map(ast.get_docstring, nodes)):
            found += _sentences(text)[:1]
        if len(found) >= count:
            return found[:count]
    return found


def licences(count: int) -> list[str]:
    """Sentences of the licences that Debian ships; none elsewhere."""
    paths = sorted(path for path in LICENCES.glob("*") if path.is_file() and not path.is_symlink())
    found = [one for path in paths for one in _sentences(path.read_text(encoding="utf-8", errors="replace"))]
    return found[:count]


def _sentences(text: str) -> list[str]:
    sentences = (" ".join(sentence.split()) for sentence in text.replace("\n\n", ". ").split(". "))
    return [one.lower() for one in sentences if LEAST_WORDS <= len(one.split()) <= MOST_WORDS]


@dataclass(frozen=True)
class Watcher:
    """A bundle and its policy, asked about streams of texts.

    Attributes:
        bundle: a text network's.
        policy: with thresholds per exit and histograms of confidences.
        chain: the bundle's pieces.
    """

    bundle: Bundle
    policy: PolicyFile
    chain: Chain

    @classmethod
    def of(cls, bundle: Bundle, policy: PolicyFile, threads: int) -> Watcher:
        return cls(bundle, policy, chain_from_bundle(bundle, OnnxRuntimeBackend(), threads=threads))

    @property
    def thresholds(self) -> list[float]:
        """Of exits 1..K; infinity never answers, the last always does."""
        asked: Sequence[float | None] | float = self.policy.bandit.params.get("per_exit", 0.9)
        before = self.chain.exits - 1
        listed = [asked] * before if isinstance(asked, float) else list(asked)
        return [*(np.inf if one is None else float(one) for one in listed), 0.0]

    def traces(self, texts: Sequence[str], labels: NDArray[np.int64]) -> Traces:
        """What every exit says of these."""
        intake = self.bundle.intake()
        assert intake is not None
        samples = Samples(intake.stack([intake.canonical(text) for text in texts]), labels, intake)
        reader = self.policy.reader()
        codecs = self.policy.codecs
        return record(self.bundle.id, self.chain, samples, codecs=codecs, reader=reader, progress=lambda _: None)

    def answers(self, traces: Traces) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(N,) exit that answers, from 0, and its answer."""
        taken = (traces.confidence >= np.array(self.thresholds)).argmax(axis=1)
        return taken, traces.prediction[np.arange(traces.samples), taken]

    def alarms(self, texts: Sequence[str], traces: Traces) -> tuple[dict[str, int], dict[str, float]]:
        """After how many texts each detector fired first, and what PSI and KS were at the end.

        As on a device: what exit 1 is sure of, the exits behind it of what gets there, and what the input is like.
        """
        monitor, intake = self.monitor(), self.bundle.intake()
        assert intake is not None
        fired: dict[str, int] = {}
        rows = zip(texts, traces.confidence.tolist(), self.answers(traces)[0].tolist(), strict=True)
        for count, (text, confidence, taken) in enumerate(rows, 1):
            found = monitor.see_input(intake.measures(intake.canonical(text)))
            found += monitor.see(1, confidence[0]) + monitor.see_on(confidence[1 : taken + 1])
            for finding in found:
                if finding.drift.fired:
                    fired.setdefault(finding.detector, count)
        return fired, {one.detector: one.drift.value for one in monitor.findings()}

    def all_exits_fire_after(self, traces: Traces) -> int | None:
        """After how many texts, if every exit read every text; inputs are not compared."""
        monitor = DriftMonitor(self.policy.evidence.confidence_histograms)
        for count, confidence in enumerate(traces.confidence.tolist(), 1):
            for exit, value in enumerate(confidence, 1):
                monitor.see(exit, value)
            if monitor.void:
                return count
        return None

    def ks_of_exits(self, traces: Traces) -> list[float]:
        """Distance of all texts' confidences from calibration, per exit."""
        pairs = zip(self.policy.evidence.confidence_histograms, traces.confidence.T, strict=True)
        return [ks(one.counts, _counts(one.edges, values)) for one, values in pairs]

    def monitor(self) -> DriftMonitor:
        """As a device makes it."""
        evidence, first = self.policy.evidence, self.thresholds[0]
        return DriftMonitor(
            evidence.confidence_histograms,
            reached=evidence.reached_histograms,
            threshold=first if np.isfinite(first) else None,
            inputs=evidence.input_histograms,
        )

    def row(self, texts: Sequence[str], labels: NDArray[np.int64] | None = None) -> dict[str, Any]:
        """One stream, damaged in one way from its first text; `labels` where they are known."""
        traces = self.traces(texts, np.zeros(len(texts), np.int64) if labels is None else labels)
        taken, said = self.answers(traces)
        early = taken < traces.exits - 1
        fired, values = self.alarms(texts, traces)
        inputs = tuple(f"{name}_" for name in self.policy.evidence.input_histograms)
        by_confidence = [count for name, count in fired.items() if not name.startswith(inputs)]
        return {
            "texts": traces.samples,
            "accuracy": float((said == traces.labels).mean()) if labels is not None else None,
            "agrees": float((said == traces.prediction[:, -1]).mean()),
            "early": float(early.mean()),
            **{name: values.get(name) for name in SHOWN},
            "confidence_fires_after": min(by_confidence, default=None),
            "fires_after": min(fired.values(), default=None),
            "all_exits_fire_after": self.all_exits_fire_after(traces),
            "ks_of_exits": self.ks_of_exits(traces),
            "fired": fired,
        }


def _counts(edges: Sequence[float], values: NDArray[np.float64]) -> list[int]:
    found: list[int] = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).tolist()
    return found


def streams(watcher: Watcher, pairs: Sequence[tuple[str, int]], others: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every damage of the labelled texts, then texts that are no reviews."""
    labels = np.array([label for _, label in pairs], np.int64)
    for name, damage in DAMAGES.items():
        rng = np.random.default_rng(0)
        yield name, watcher.row([damage(text, rng) for text, _ in pairs], labels)
    for name, texts in (("Python docstrings", docstrings(others)), ("Debian's licences", licences(others))):
        if texts:
            yield name, watcher.row(texts)


def ramp(watcher: Watcher, pairs: Sequence[tuple[str, int]], clean: float) -> dict[str, Any]:
    """Typos that become more from text to text: when does the alarm come, when has accuracy fallen?"""
    rng, count = np.random.default_rng(0), len(pairs)
    texts = [typos(0.8 * place / count)(text, rng) for place, (text, _) in enumerate(pairs)]
    traces = watcher.traces(texts, np.array([label for _, label in pairs], np.int64))
    right = watcher.answers(traces)[1] == traces.labels
    window = min(WINDOW, count // 3)
    means = np.convolve(right, np.ones(window) / window, "valid")
    fallen = np.flatnonzero(means < clean - LOST)
    fired, _ = watcher.alarms(texts, traces)
    return {
        "texts": count,
        "alarm_after": min(fired.values(), default=None),
        "accuracy_fallen_after": int(fallen[0]) + window if len(fallen) else None,
        "window": window,
        "fired": fired,
    }
