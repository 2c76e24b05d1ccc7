"""What a camera sees, and that it runs, is nobody's business: no library tells its maker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FIRST = [
    "split_core.backends.onnxruntime",
    "partitioner.bounds",
    "partitioner.precision.quantise",
    "edge_runtime.app",
]
LOOK = """
import importlib, os, sys
importlib.import_module(sys.argv[1])
import onnxruntime
onnxruntime.InferenceSession(open(sys.argv[2], "rb").read(), providers=["CPUExecutionProvider"])
print(*sorted({os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")}), sep="\\n")
"""


@pytest.mark.parametrize("first", FIRST)
def test_onnxruntime_keeps_no_record_to_send_whatever_of_ours_is_imported_first(
    first: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    hushed = {
        "ORT_DISABLE_TELEMETRY",
        "CI",
        "GITHUB_ACTIONS",
        "TF_BUILD",
        "XDG_CACHE_HOME",
    }  # by some of these it is silent, too
    environment = {name: value for name, value in os.environ.items() if name not in hushed}
    words = [sys.executable, "-c", LOOK, first, str(tiny_model_path)]
    root = Path(__file__).parent.parent
    done = subprocess.run(
        words, env={**environment, "HOME": str(tmp_path)}, cwd=root, capture_output=True, text=True, check=True
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert str(tmp_path) not in done.stdout
