"""`python -m cloud_runtime CONFIG [key=value ...]`: the worker where no command line library is."""

from __future__ import annotations

import sys
from pathlib import Path

from cloud_runtime.app import serve
from cloud_runtime.config import CloudConfig
from split_core import config
from split_core.errors import SplitError
from split_core.telemetry.logs import log_to_stderr


def main(arguments: list[str]) -> int:
    """Run until a signal comes; returns the exit code of `split_core.errors`."""
    if not arguments:
        print("usage: python -m cloud_runtime CONFIG [key=value ...]", file=sys.stderr)
        return 2
    log_to_stderr()
    try:
        return serve(config.load(Path(arguments[0]), CloudConfig, arguments[1:]), None)
    except SplitError as error:
        print(f"offramp cloud: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
