"""Every option of `offramp calibrate` that asks for something, on the command line, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from split_core import bundle as bundles
from split_core import policy, profiles
from split_core.cli import main
from split_core.policy import PolicyFile
from tests.edge_runtime.world import profile
from tests.tiny import LABELS, tiny_samples

SAMPLES = 1200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """Samples, what is known of each, and a device."""
    found = tmp_path_factory.mktemp("calibrate")
    images, labels = tiny_samples(SAMPLES, seed=3)
    np.savez(found / "samples.npz", images=images, labels=labels)
    rng = np.random.default_rng(0)
    sites = rng.choice(["north", "south", "west"], SAMPLES, p=[0.6, 0.39, 0.01])
    lights = rng.choice(["day", "night"], SAMPLES)
    lines = [f"{site},{light}\n" for site, light in zip(sites, lights, strict=True)]
    (found / "meta.csv").write_text("site,light\n" + "".join(lines))
    profiles.save(profile(3, bundles.load(tiny_bundle).id), found / "device.yaml")
    return found


@pytest.fixture
def calibrate(folder: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*words: object, code: int = 0) -> Any:
        given = ["calibrate", tiny_bundle, "--data", folder / "samples.npz", "--out", tmp_path / "p.yaml"]
        fixed = ["--threads", 1, "--codec-samples", 20]
        assert main([str(word) for word in [*given, *fixed, *words]]) == code
        captured = capsys.readouterr()
        if code:
            assert not (tmp_path / "p.yaml").exists()
            assert captured.err.count("\n") == 1
            return captured.err
        if "--json" in words:
            return json.loads(captured.out)
        return captured.out, policy.load(tmp_path / "p.yaml")

    return command


def promise(made: PolicyFile) -> Any:
    (one,) = made.evidence.promises
    return one


@pytest.mark.parametrize(
    ("words", "kind", "method", "at_most"),
    [
        (("--accuracy", 0.6), "accuracy", "pcee_ws", 1.0),
        (("--accuracy", 0.6, "--method", "pcee"), "accuracy", "pcee", 1.0),
        (("--risk", 0.3), "risk", "ltt", 0.3),
        (("--risk", 0.3, "--method", "wsr", "--confidence", 0.8), "risk", "wsr", 0.3),
        (("--risk", 0.45, "--loss", "mistakes"), "risk", "ltt", 0.45),
        (("--risk", 0.3, "--loss", "brier", "--method", "naive"), "risk", "naive", 0.4),
        (("--max-drop", 0.25), "max_drop", "wsr", 0.25),
        (("--max-offload", 0.5), "max_offload", "mean", 0.6),
    ],
)
def test_what_is_asked_is_promised_played_and_tried(
    calibrate: Any, words: tuple[object, ...], kind: str, method: str, at_most: float
) -> None:
    printed, made = calibrate(*words)
    one = promise(made)
    assert (one.kind, one.method, one.asked) == (kind, method, words[1])
    assert one.samples == SAMPLES // 2
    assert one.held_out == SAMPLES // 4
    assert one.reached <= at_most
    assert made.bandit.name == "cascade"
    assert "asked and reached" in printed


def test_a_budget_is_kept_with_the_times_of_a_device(calibrate: Any, folder: Path) -> None:
    # 4 ms a segment and .5 ms an exit, halved by the profile and doubled by its slow-down: 4.5, 9 and 13 ms.
    _, made = calibrate("--budget-ms", 8, "--profile", folder / "device.yaml")
    assert promise(made).kind == "budget_ms"
    assert 4.0 < promise(made).reached <= 8.5
    _, both = calibrate("--budget-ms", 12, "--risk", 0.3, "--profile", folder / "device.yaml")
    assert [one.kind for one in both.evidence.promises] == ["risk", "budget_ms"]


def test_thresholds_per_class_are_written(calibrate: Any) -> None:
    _, made = calibrate("--risk", 0.3, "--per-class")
    assert set(made.bandit.params) == {"per_exit", "by_class"}


def test_the_guard_is_written_with_class_numbers(calibrate: Any, folder: Path) -> None:
    printed, made = calibrate(
        *("--risk", 0.3, "--never-early", f"{LABELS[2]}, 0", "--deepest", 2, "--abstain", 0.1),
        *(
            "--never-early-segment",
            "light=night",
            "--never-early-segment",
            "site=west",
            "--slices",
            folder / "meta.csv",
        ),
    )
    assert made.guard is not None
    assert (made.guard.never_early, made.guard.deepest) == ((0, 2), 2)
    assert made.guard.never_early_segments == {"light": ("night",), "site": ("west",)}
    assert made.guard.abstain is not None
    assert [len(row) for row in made.guard.abstain.quantiles] == [1, 1, 1]
    assert all(0.8 <= share <= 1.0 for share in made.guard.abstain.coverage)
    assert "abstention" in printed
    night = next(line for line in printed.splitlines() if "light = night" in line)
    assert night.split()[-1] == "0.0%"


def test_drift_is_measured_against_the_frames_that_the_guard_sends_on(calibrate: Any) -> None:
    _, made = calibrate("--max-offload", 0.6, "--never-early", "0,1")
    # Half of the samples chose; what says one of two classes of four gets to exit 2 whatever its confidence.
    second = made.evidence.reached_histograms[0]
    assert 0.4 * SAMPLES / 2 < sum(second.counts) < SAMPLES / 2
    # Streams that differ in what they send on have nothing in common to be measured against behind exit 1.
    _, made = calibrate("--max-offload", 0.6, "--never-early-segment", "light=night")
    assert made.evidence.reached_histograms == ()
    assert made.evidence.confidence_histograms


def test_abstention_needs_no_target(calibrate: Any) -> None:
    _, made = calibrate("--abstain", 0.2, "--abstain-per-class")
    assert made.bandit.name == "sequential"
    assert made.guard is not None
    assert made.guard.abstain is not None
    assert [len(row) for row in made.guard.abstain.quantiles] == [4, 4, 4]


def test_segments_have_thresholds_and_small_ones_those_of_all(calibrate: Any, folder: Path) -> None:
    printed, made = calibrate("--accuracy", 0.6, "--slices", folder / "meta.csv", "--segment", "site")
    assert made.segments is not None
    assert made.segments.column == "site"
    assert set(made.segments.params) <= {"north", "south"}
    assert made.segments.params
    assert "thresholds by segment" in printed
    west = next(line for line in printed.splitlines() if line.strip().startswith("west"))
    assert "those of all" in west


def test_a_policy_without_guard_and_segments_is_written_as_before(calibrate: Any) -> None:
    facts = calibrate("--risk", 0.3, "--json")
    assert not {"guard", "segments"} & set(facts["file"])


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (2, ("--risk", 0.1, "--accuracy", 0.9), "--accuracy and --risk: ask for one"),
        (2, ("--risk", 1.5), "--risk: expected a number between 0 and 1"),
        (2, ("--budget-ms", 8), "give --profile FILE"),
        (2, ("--risk", 0.1, "--method", "wsx"), "did you mean 'wsr'"),
        (2, ("--risk", 0.1, "--loss", "mistake"), "did you mean 'mistakes'"),
        (2, ("--max-drop", 0.1, "--per-class"), "--per-class goes with"),
        (2, ("--risk", 0.3, "--bandit", "grid"), "kept by 'cascade' only"),
        (2, ("--slices", "meta.csv"), "--slices shows what a target does"),
        (2, ("--segment", "site"), "--segment gives thresholds per segment; ask for something"),
        (2, ("--risk", 0.3, "--segment", "site"), "--segment site: no such column; give --slices FILE"),
        (2, ("--risk", 0.3, "--slices", "META", "--segment", "sit"), "META has: site, light; did you mean 'site'?"),
        (2, ("--never-early", "top lef"), "did you mean 'top left'"),
        (2, ("--never-early", "4"), "no class '4'"),
        (2, ("--never-early-segment", "night"), "expected COLUMN=VALUE, got 'night'"),
        (2, ("--deepest", 4), "--deepest 4: the bundle has 3 exits"),
        (2, ("--abstain", 1.0), "--abstain: expected a number between 0 and 1"),
        (2, ("--abstain-per-class",), "goes with --abstain"),
        # What the samples cannot carry, with the number that would.
        (3, ("--risk", 0.05, "--confidence", 0.999, "--take", "0:60"), "about 480 samples would"),
        (3, ("--risk", 0.001), "do not show it at confidence 0.9 by 'ltt'; about 4800 samples would"),
        (3, ("--risk", 0.05, "--loss", "mistakes"), "samples would not show it: ask for less"),
        (3, ("--accuracy", 0.999), "give at least"),
        (3, ("--abstain", 0.01, "--take", "0:300"), "give at least 396"),
        (3, ("--max-offload", 0.0, "--never-early", "0"), "no early exit answers"),
        (3, ("--budget-ms", 1, "--profile", "DEVICE"), "--budget-ms 1: a frame takes"),
    ],
)
def test_refusals_are_one_line_that_says_what_would_help(
    calibrate: Any, folder: Path, code: int, words: tuple[object, ...], said: str
) -> None:
    files = {"META": folder / "meta.csv", "DEVICE": folder / "device.yaml", "meta.csv": folder / "meta.csv"}
    told = calibrate(*(files.get(str(word), word) for word in words), code=code)
    assert said.replace("META", str(folder / "meta.csv")) in told
