"""What `configs/deploy` holds fits the programs that it starts."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from edge_runtime.pulse import STALLED_S
from edge_runtime.sinks.sink import DRAIN_S
from split_core.cli import COMMANDS
from split_core.telemetry.background import CLOSE_S

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "configs" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
DOCKERFILES = sorted(DEPLOY.glob("Dockerfile.*"))
PROGRAM = "/opt/offramp/bin/offramp"
NEWER = {"RestartSteps", "RestartMaxDelaySec"}  # since systemd 254; older ones ignore them, with a line in the journal


def settings(unit: Path) -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in unit.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return dict(found)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Name and arguments, without comments, on one line each."""
    text = re.sub(r"(?m)^\s*#.*\n", "", dockerfile.read_text()).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()]


def is_ours(words: list[str]) -> bool:
    """A command of ours, with a file of settings and options that it has."""
    name = " ".join(words[:2]) if words[0] == "edge" else words[0]
    return name in COMMANDS and words[-2].startswith("/etc/offramp/") and words[-1] == "--json"


def test_everything_that_is_promised_is_there() -> None:
    found = {path.name for path in DEPLOY.iterdir()}
    assert found == {
        "offramp-edge.service", "offramp-worker.service", "Dockerfile.x86", "Dockerfile.jetpack6", "compose.yml"
    }  # fmt: skip


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
class TestUnit:
    def test_it_starts_a_program_of_ours_and_again_whenever_it_fails(self, unit: Path) -> None:
        unit_says = settings(unit)
        program, *words = shlex.split(unit_says["ExecStart"][0])
        assert program == PROGRAM
        assert is_ours(words)
        assert unit_says["Restart"] == ["on-failure"]
        assert unit_says["StartLimitIntervalSec"] == ["0"]

    def test_it_may_do_nothing_but_write_what_is_its_own(self, unit: Path) -> None:
        unit_says = settings(unit)
        assert unit_says["ProtectSystem"] == ["strict"]
        assert unit_says["NoNewPrivileges"] == ["yes"]
        assert unit_says["CapabilityBoundingSet"] == [""]
        assert unit_says["User"] == ["offramp"]
        assert unit_says["WorkingDirectory"] == [f"/var/lib/{unit_says['StateDirectory'][0]}"]
        assert "ReadWritePaths" not in unit_says
        assert "ORT_DISABLE_TELEMETRY=1" in unit_says["Environment"][0]

    def test_systemd_takes_it(self, unit: Path, tmp_path: Path) -> None:
        if not shutil.which("systemd-analyze"):
            pytest.skip("there is no systemd-analyze")
        here = tmp_path / unit.name  # with a program that exists on this machine
        here.write_text(unit.read_text().replace(PROGRAM, sys.executable))
        words = ["systemd-analyze", "verify", "--man=no", str(here)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        unknown = [line for line in done.stderr.splitlines() if unit.name in line and not any(k in line for k in NEWER)]
        assert (done.returncode, unknown) == (0, []), done.stderr

    def test_systemd_finds_little_that_could_be_closed(self, unit: Path) -> None:
        words = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
        if (
            not shutil.which(words[0])
            or "--offline"
            not in subprocess.run([words[0], "--help"], capture_output=True, text=True, check=False).stdout
        ):
            pytest.skip("there is no systemd-analyze that looks at files")
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-300:]


def test_the_cameras_unit_knows_the_program_s_times() -> None:
    unit_says = settings(DEPLOY / "offramp-edge.service")
    assert unit_says["Type"] == ["notify"]
    assert float(unit_says["WatchdogSec"][0]) > STALLED_S
    assert float(unit_says["TimeoutStopSec"][0]) > DRAIN_S + 3 * CLOSE_S  # sinks, decisions, state, proposals
    assert unit_says["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.suffix[1:])
class TestDockerfile:
    def test_what_it_copies_is_there_and_is_all_that_the_package_is_made_of(self, dockerfile: Path) -> None:
        copied = [
            words for name, words in instructions(dockerfile) if name == "COPY" and not words.startswith("--from")
        ]
        sources = {source for words in copied for source in words.split()[:-1]}
        assert [source for source in sources if not (ROOT / source).exists()] == []
        project = (ROOT / "pyproject.toml").read_text()
        [packages, *_] = re.findall(r"(?m)^packages = (\[.*\])", project)
        assert {*json.loads(packages), "configs", "hw_profiles", "README.md", "pyproject.toml"} <= sources

    def test_it_installs_extras_that_exist_and_no_torch(self, dockerfile: Path) -> None:
        runs = " ".join(words for name, words in instructions(dockerfile) if name == "RUN")
        [extras] = re.findall(r"'\.\[([\w,]+)\]'", runs)
        project = (ROOT / "pyproject.toml").read_text()
        assert [extra for extra in extras.split(",") if not re.search(rf"(?m)^{extra} = \[", project)] == []
        assert "torch" not in runs
        assert "tensorrt" not in runs  # on a Jetson it comes with the image
        assert "--constraint constraints.txt" in runs

    def test_it_runs_a_camera_without_rights_and_dies_on_sigterm(self, dockerfile: Path) -> None:
        last = dict(instructions(dockerfile))
        assert json.loads(last["ENTRYPOINT"]) == [PROGRAM]
        assert is_ours(json.loads(last["CMD"]))
        assert int(last["USER"]) > 0
        assert last["STOPSIGNAL"] == "SIGTERM"
        assert "ORT_DISABLE_TELEMETRY=1" in last["ENV"]

    def test_its_images_have_a_version(self, dockerfile: Path) -> None:
        bases = [words.split()[0] for name, words in instructions(dockerfile) if name == "FROM"]
        arguments = dict(words.split("=") for name, words in instructions(dockerfile) if name == "ARG")
        for base in bases:
            _, _, tag = re.sub(r"\$\{(\w+)\}", lambda name: arguments[name[1]], base).partition(":")
            assert tag not in ("", "latest"), base

    def test_its_health_check_asks_where_the_example_serves(self, dockerfile: Path) -> None:
        [check] = [words for name, words in instructions(dockerfile) if name == "HEALTHCHECK"]
        http = yaml.safe_load((ROOT / "configs" / "edge.yaml").read_text())["http"]
        assert f"http://{http}/v2/health/live" in check


def test_containers_together_are_ours_and_their_root_is_read_only() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    assert set(services) == {"camera", "worker"}
    for service in services.values():
        assert is_ours(service["command"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert (ROOT / service["build"]["dockerfile"]).exists()
        assert (DEPLOY / service["build"]["context"]).resolve() == ROOT.resolve()
    http = yaml.safe_load((ROOT / "configs" / "cloud.yaml").read_text())["http"]
    assert f"http://{http}/v2/health/live" in str(services["worker"]["healthcheck"])
