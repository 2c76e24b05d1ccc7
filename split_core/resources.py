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
    return _find(f"configs/{name}")


def profile_path(name: str) -> Path:
    """A file under `hw_profiles/`.

    Raises:
        ConfigError: it was not shipped.
    """
    return _find(f"hw_profiles/{name}")


def _find(name: str) -> Path:
    for root in ROOTS:
        if (root / name).exists():
            return root / name
    raise ConfigError(f"{name}: is missing from this installation; install offramp again")
