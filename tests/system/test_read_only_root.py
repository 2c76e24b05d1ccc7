"""A camera on a system that is read-only but for one folder, with none of root's rights, as its unit has it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from split_core.demo.processes import environment
from split_core.policy_state import read_states
from split_core.telemetry.log_summary import summarised
from tests.system.test_edge import Site
from tests.system.test_edge import site as site  # a fixture

# In a name space of its own: the second word is the folder, the rest the command.
CONFINE = """
mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,bind,ro / || exit 98
cd "$1"; shift
touch /touched 2>/dev/null && exit 97
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""

# As systemd's MemoryDenyWriteExecute, which the kernel can do by itself since 6.3: no memory is written and then run.
PROGRAM = """
import ctypes, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)
from edge_runtime.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def confined(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("there is no unshare or setpriv")
    command = ["unshare", "--mount", "sh", "-c", CONFINE, "confine", str(folder), *words]
    env = {**environment(), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=60)
    if done.returncode == 98 or "unshare" in done.stderr:
        pytest.skip("this user cannot make a file system read-only")
    return done


def test_one_folder_that_can_be_written_is_all_that_it_needs(site: Site) -> None:
    folder = site.folder / "var"
    folder.mkdir()
    source = {"kind": "array", "every": True, "options": {"path": str(site.folder / "images.npz")}}
    relative = {"decisions": "logs/decisions.jsonl", "state": "state.json", "ready_file": "run/ready.json"}
    config = site.config(source=source, outcomes="outcomes.jsonl", bandit={"name": "grid"}, **relative)
    (folder / "edge.yaml").write_text(yaml.safe_dump(config))
    done = confined(folder, sys.executable, "-c", PROGRAM, "edge.yaml")
    assert done.returncode == 0, done.stderr
    assert len((folder / "outcomes.jsonl").read_text().splitlines()) == len(site.images)
    assert summarised(folder / "logs" / "decisions.jsonl").frames == len(site.images)
    assert read_states(folder / "state.json")
    assert "cannot be written" not in done.stderr
