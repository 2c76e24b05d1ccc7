"""Every file that a command reads may be missing, a folder, empty or something else: one line says what to do.

A command with a new option for a file fails here until the file has a line in `READS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml
from typer.main import get_params_from_function
from typer.models import OptionInfo

from bandits import path_model as path_models
from edge_runtime import profiling
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles, traces
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.cli import COMMANDS, main
from split_core.policy import CodecSection, ExitSection, PolicyFile
from split_core.policy_store import PolicyStore
from split_core.registry import resolve
from split_core.transport.keys import make_keys
from tests.bandits.frames import path_model, random_traces
from tests.tiny import LABELS, tiny_samples


def missing(path: Path) -> None:
    """Nothing is there."""


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.touch()


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(255, -1, -1)) * 40)


def words(path: Path) -> None:
    path.write_text("a text\nof two lines\n")


KINDS: tuple[Callable[[Path], None], ...] = (missing, folder, empty, binary, words)

CALIBRATE = "calibrate {bundle} --data {data} --out {out}.yaml "
TRAIN = "train {bundle} --exits 1 --epochs 1 --threads 1 --out {out} "
JOINT = "train joint tests.partitioner.train.joint_modules:WithItsOwn --out {out} "
EDGE = "edge run {camera} --set "

# What stands for `BAD.suffix` is the file to be refused; all others are good.
READS = (
    "partition BAD.onnx --out {out}",
    "partition BAD.pt2 --out {out}",
    "partition {model} --out {out} --profile BAD.yaml",
    "partition {model} --out {out} --config BAD.yaml",
    "partition {model} --out {out} --labels @BAD.txt",
    "partition {model} --out {out} --int8 BAD.npz",
    "partition {model} --list-cuts --plot {out}.svg --pictures BAD.npz",
    "partition {model} --list-cuts --plot {out}.svg --pictures BAD.png",
    "verify BAD --model {model}",
    "verify {bundle} --model BAD.onnx",
    "verify {bundle} --model {model} --data BAD.npz",
    "train BAD --data {data} --criterion learned --arrays {out}.npz",
    "train {bundle} --data BAD.npz --criterion learned --arrays {out}.npz",
    TRAIN + "--data BAD.npz",
    TRAIN + "--data {data} --model BAD.onnx",
    TRAIN + "--data {data} --checkpoint BAD.npz",
    JOINT + "--config {network} --data BAD.npz",
    JOINT + "--data {data} --config BAD.yaml",
    JOINT + "--config {network} --data {data} --checkpoint BAD.npz",
    "calibrate BAD --data {data} --out {out}.yaml",
    "calibrate {bundle} --data BAD.npz --out {out}.yaml",
    CALIBRATE + "--criterion learned --criterion-arrays BAD.npz",
    CALIBRATE + "--objective BAD.yaml",
    CALIBRATE + "--budget-ms 5 --profile BAD.yaml",
    CALIBRATE + "--risk 0.05 --slices BAD.csv",
    "trace BAD --data {data} --out {out}.npz",
    "trace {bundle} --data BAD.npz --out {out}.npz",
    "trace {bundle} --data {data} --out {out}.npz --policy BAD.yaml",
    "profile BAD --data {data} --out {out}.yaml",
    "profile {bundle} --data BAD.npz --out {out}.yaml",
    "profile {bundle} --data BAD.mp4 --out {out}.yaml",
    "profile {bundle} --data {data} --out {out}.yaml --policy BAD.yaml",
    "cloud BAD.yaml",
    "cloud BAD --plain",
    "cloud {bundle} --keys BAD",
    "edge run BAD.yaml",
    EDGE + "bundle=BAD",
    EDGE + "policy=BAD.yaml",
    EDGE + "profile=BAD.yaml",
    EDGE + "source.options.path=BAD.npz",
    EDGE + "source.kind=video --set source.options.path=BAD.mp4",
    EDGE + "source.kind=directory --set source.options.path=BAD",
    EDGE + "link={{address: tcp://127.0.0.1:9,server_key: BAD.key}}",
    EDGE + "link={{address: tcp://127.0.0.1:9,server_key: {keys}/worker.key,secret_key: BAD.key_secret}}",
    "edge snapshot BAD.yaml",
    "edge snapshot {camera} --item BAD.npz",
    "edge verify-log BAD.jsonl",
    "replay BAD.npz --published lambda=0.1,offload=0.3",
    "replay {trace} --published lambda=0.1,offload=0.3 --policy BAD.yaml",
    "replay {trace} --costs BAD.json",
    "replay --off-policy BAD.jsonl --policy {policy}",
    "replay {trace} --policy {policy} --profile BAD.yaml --log grid={log}",
    "replay {trace} --policy {policy} --profile {profile} --log grid=BAD.jsonl",
    "policy show BAD.yaml",
    "policy show {policy} --state BAD.json",
    "policy diff BAD.yaml {policy}",
    "policy diff {policy} BAD.yaml",
    "policy set BAD.yaml bandit.name=grid",
    "policy check BAD.yaml",
    "policy check {policy} --bundle BAD",
    "policy check {policy} --profile BAD.yaml",
    "policy check {policy} --trace BAD.npz",
    "policy sign BAD.yaml --key {keys}/me.sign_secret",
    "policy sign {policy} --key BAD.sign_secret",
    "policy add {store} BAD.yaml",
    "policy promote BAD",
    "policy promote {store} --bundle BAD",
    "policy rollback BAD",
    "policy history BAD",
    "policy shadow-report BAD.jsonl",
    "policy warm-start BAD.yaml {log} --out {out}.json",
    "policy warm-start {policy} BAD.json --out {out}.json",
    "policy source-threshold {policy} --trace BAD.npz --costs {costs}",
    "policy source-threshold {policy} --trace {trace} --costs BAD.json",
    "release show BAD",
    "release check BAD",
    "release history BAD",
    "release promote BAD",
    "release rollback BAD",
    "release refuse BAD",
    "release add {out} --bundle BAD --policy {policy} --profile {profile}",
    "release add {out} --bundle {bundle} --policy BAD.yaml --profile {profile}",
    "release add {out} --bundle {bundle} --policy {policy} --profile BAD.yaml",
    "release add {out} --bundle {bundle} --policy {policy} --profile {profile} --key BAD.sign_secret",
    "report BAD",
)


@pytest.fixture(scope="module")
def good(tiny_bundle: Path, tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of each kind of file, all of them as they should be."""
    root = tmp_path_factory.mktemp("good")
    names = (
        "data.npz",
        "costs.json",
        "policy.yaml",
        "profile.yaml",
        "trace.npz",
        "log.jsonl",
        "camera.yaml",
        "network.yaml",
        "store",
        "keys",
    )
    at = {name.partition(".")[0]: root / name for name in names}
    bundle = bundles.load(tiny_bundle)
    images, labels = tiny_samples(40)
    np.savez(at["data"], images=images, labels=labels)
    traces.save(random_traces(40, 3), at["trace"])
    policies.save(PolicyFile(bundle_id=bundle.id, exits=(ExitSection(),) * 3), at["policy"])
    PolicyStore(at["store"]).add(at["policy"])
    measured = profiling.profile(bundle, OnnxRuntimeBackend(), list(images[:20]), name="test", codecs=CodecSection())
    profiles.save(measured, at["profile"])
    at["log"].touch()
    path_models.save(path_model(), at["costs"])
    preprocess = {"height": 8, "width": 8, "colour": "gray", "mean": [0.5], "std": [0.25]}
    at["network"].write_text(yaml.safe_dump({"name": "tiny", "labels": list(LABELS), "preprocess": preprocess}))
    make_keys(at["keys"], "worker")
    camera = {
        "bundle": str(tiny_bundle),
        "policy": str(at["policy"]),
        "profile": str(at["profile"]),
        "source": {"kind": "array", "options": {"path": str(at["data"])}},
    }
    at["camera"].write_text(yaml.safe_dump(camera))
    return {**at, "bundle": tiny_bundle, "model": tiny_model_path}


NEEDS = {r"\.pt2|^train (?!BAD)": "torch", r"\.sign_secret$": "cryptography", r"\.mp4": "av", r"\.svg": "matplotlib"}

# Of a command that writes: `BAD` is a file, where a folder would have to be.
WRITES = (
    "partition {model} --out BAD/x",
    "calibrate {bundle} --data {data} --out BAD/x.yaml",
    "calibrate {bundle} --data {data} --out {out}.yaml --trace BAD/x.npz",
    "trace {bundle} --data {data} --out BAD/x.npz",
    "profile {bundle} --data {data} --out BAD/x.yaml",
    "partition {model} --list-cuts --plot BAD/x.svg",
    "keys BAD/x",
    "replay {trace} --costs {costs} --seeds 1 --save-costs BAD/x.json",
    "policy add BAD/x {policy}",
    "release add BAD/x --bundle {bundle} --policy {policy} --profile {profile}",
    "demo --quick --out BAD/x",
    "edge run {camera} --set decisions=BAD/x.jsonl",
    "edge run {camera} --set ready_file=BAD/x.json",
    "edge snapshot {camera} --out BAD/x.png",
)

# Options that name what is written.
WRITTEN = {"--out", "--trace", "--plot", "--arrays", "--save-costs", "--png", "--ready-file", "--network", "--html"}


def options(command: str) -> Iterator[str]:
    """Those of a command that are paths."""
    where = COMMANDS[command]
    for name, one in get_params_from_function(resolve(where.location, command, where.extra)).items():
        if isinstance(one.default, OptionInfo) and Path in (one.annotation, *get_args(one.annotation)):
            yield next(iter(one.default.param_decls or ()), "--" + name.replace("_", "-"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_that_names_a_file_is_tried(command: str) -> None:
    tried = {word for line in READS if line.startswith(f"{command} ") for word in re.findall(r"(--[\w-]+) BAD", line)}
    assert set(options(command)) - WRITTEN <= tried


STORES = ("policy history BAD", "release history BAD", "release show BAD", "release check BAD")  # a folder may be one


def fine(line: str, kind: str) -> bool:
    """Is what was made as good as any other?"""
    if kind == "empty":  # settings that are all as usual; nothing was logged or named yet
        return any(
            option in line for option in ("--config", "--objective", "--labels", "--log", "--off-policy", "verify-log")
        )
    if kind == "words":
        return "--labels" in line
    return (kind == "missing" and "--checkpoint" in line) or (kind == "folder" and line in STORES)


CASES = [(line, kind) for line in READS for kind in KINDS if not fine(line, kind.__name__)]


@pytest.mark.parametrize(("line", "kind"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_bad_file_is_one_line_that_says_which_and_what_to_do(
    line: str, kind: Callable[[Path], None], good: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, library in NEEDS.items():
        if re.search(part, line):
            pytest.importorskip(library)
    (found,) = re.findall(r"BAD[.\w]*", line)
    bad = tmp_path / found.lower()
    kind(bad)
    words = line.replace(found, str(bad)).format(**good, out=tmp_path / "out")
    code = main(words.split(" "))
    printed, said = capsys.readouterr()
    *before, told = said.splitlines()
    assert code in (2, 3, 6)
    assert told.startswith("offramp ")
    assert not [one for one in before if "offramp" in one or "Traceback" in one]
    assert bad.name in told
    assert re.search("; |expected ", told), told
    assert not re.search(r"Errno|Error|Path\(|pickle|codec|None\b|b'", told), told
    assert printed == ""
    assert sorted(tmp_path.iterdir()) == [bad] * bad.exists()


@pytest.mark.parametrize("line", WRITES)
def test_a_place_that_cannot_be_written_is_one_line(
    line: str, good: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").write_text("a file")
    code = main(line.replace("BAD", str(tmp_path / "bad")).format(**good, out=tmp_path / "out").split(" "))
    told = capsys.readouterr().err.splitlines()[-1]
    assert code in (2, 3)
    assert told.startswith("offramp ")
    assert "bad" in told
    assert not re.search("Errno|Error", told), told
    assert (tmp_path / "bad").read_text() == "a file"
