"""A camera's program fed by standard input, and by a camera that goes away and comes back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from urllib.request import urlopen

import pytest
import yaml

from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from split_core.config import parsed
from split_core.demo.processes import environment
from tests.edge_runtime.test_live import until
from tests.mjpeg_server import mjpeg_camera
from tests.system.test_edge import BARE, Site
from tests.system.test_edge import site as site  # a fixture

EDGE_ONLY = {"name": "edge_only"}


def test_json_lines_on_standard_input_are_answered_and_those_that_are_none_are_counted(site: Site):
    source = {"kind": "lines", "every": True}
    (site.folder / "edge.yaml").write_text(yaml.safe_dump(site.config(source=source, bandit=EDGE_ONLY, outcomes="-")))
    lines = [json.dumps({"pixels": image[..., 0].tolist()}) for image in site.images[:20]]
    given = "\n".join(["{", *lines[:10], '{"pixels": [[1], [1, 2]]}', '"a text"', *lines[10:]])
    words = [sys.executable, "-c", BARE, str(site.folder / "edge.yaml")]
    done = subprocess.run(words, input=given, capture_output=True, text=True, env=environment(), check=True, timeout=60)
    outcomes = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"seq"')]
    told = [line for line in done.stderr.splitlines() if "cannot be read" in line]
    assert len([one for one in outcomes if not one["degraded"]]) == 20
    assert [one["degraded"] for one in outcomes if one["degraded"]] == ["bad_frame"]  # a text is no picture
    assert len(told) == 1
    assert "line 1: not JSON" in told[0]


def test_a_camera_that_dies_and_returns_is_ready_not_ready_and_ready_again(site: Site):
    pytest.importorskip("av")
    ready = site.folder / "ready.json"
    with mjpeg_camera() as camera:
        options = {"address": camera.address, "timeout_s": 0.5}
        source = {"kind": "camera", "watchdog_s": 1.0, "options": options}
        app = EdgeApp(
            parsed(
                site.config(source=source, bandit=EDGE_ONLY, ready_file=str(ready), outcomes="/dev/null"),
                EdgeConfig,
                "",
            )
        )
        thread = threading.Thread(target=app.run)
        thread.start()
        address = json.loads(ready.read_text())["http"]
        until(lambda: is_ready(address))
        port = camera.port
    until(lambda: not is_ready(address))
    with mjpeg_camera(port):
        until(lambda: is_ready(address))
        with urlopen(f"{address}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        app.stop()
        thread.join(30)
    assert 'offramp_source_sees{camera="camera"} 1.0' in text
    told = app.summary()
    assert told["frames"] == told["dropped"] + told["outcomes"] > 0


def is_ready(address: str) -> bool:
    try:
        with urlopen(f"{address}/v2/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
