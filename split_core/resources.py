"""Files that are shipped with the program: in a clone beside the packages, in a wheel inside `split_core`."""

from __future__ import annotations

from pathlib import Path

from split_core.errors import ConfigError

HERE = Path(__file__).resolve().parent
ROOTS = (HERE / "_shipped", HERE.parent)


def config_path(name: str) -> Path:
    """A file under `configs/`.

    Raises:
        ConfigError: it was not shipped.
    """
    for root in ROOTS:
        path = root / "configs" / name
        if path.exists():
            return path
    raise ConfigError(f"configs/{name}: is missing from this installation; install offramp again")
