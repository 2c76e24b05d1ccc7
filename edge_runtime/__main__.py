"""`python -m edge_runtime CONFIG [key=value ...]`: the camera's program where no command line library is."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from split_core import config
from split_core.errors import ArtefactError, SplitError, of_disk
from split_core.telemetry.logs import log_to_stderr


def main(arguments: list[str]) -> int:
    """Run until the source ends or a signal comes; returns the exit code of `split_core.errors`."""
    if not arguments:
        print("usage: python -m edge_runtime CONFIG [key=value ...]", file=sys.stderr)
        return 2
    log_to_stderr()
    try:
        read = partial(config.load, Path(arguments[0]), EdgeConfig, arguments[1:])
        app = EdgeApp(read())
        app.handle_signals(read)
        app.run()
    except SplitError as error:
        print(f"offramp edge: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if not (said := of_disk(error)):
            raise
        print(f"offramp edge: {said}", file=sys.stderr)
        return ArtefactError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
