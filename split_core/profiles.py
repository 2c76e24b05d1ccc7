"""Hardware profiles: what a bundle costs on one device or worker, as measured there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from pydantic import Field, ValidationError, model_validator

from split_core.config import Section, first_error
from split_core.errors import ProfileError
from split_core.files import write_atomically
from split_core.tensors import FloatArray


class Timing(Section):
    """Median and 95th percentile of a repeated measurement, in milliseconds."""

    p50_ms: float = Field(ge=0)
    p95_ms: float = Field(ge=0)
    n: int = Field(ge=1)


class Payload(Section):
    """What shipping one cut takes on this device: encode time and bytes, medians over real samples."""

    cut: int = Field(ge=0)
    codec: str
    encode: Timing
    bytes_p50: int = Field(ge=0)
    bytes_p95: int = Field(ge=0)


class Device(Section):
    """What was measured on: enough to know whether a profile fits a device."""

    machine: str
    processor: str = ""
    cores: int = Field(ge=1)
    python: str
    numpy: str
    backend: str
    backend_version: str
    threads: int = Field(ge=1)


class HwProfile(Section):
    """Times, bytes and memory of one bundle on one device.

    Attributes:
        bundle_id: the bundle it was measured with.
        network: SHA-256 of the network that the bundle was made from.
        cuts: tensors of the bundle's cuts 1..K-1.
        segments, heads: K timings each; the last head is part of the last segment and costs 0.
        tensor: canonical image to input tensor.
        payloads: one per cut 0..K-1.
        precision: of the pieces; empty when they were measured as exported.
        slowdown: the device this profile stands for is this many times slower than the machine it was
            measured on; 1 for a real device.  The edge then waits so that each step takes
            `slowdown` times its median here.
        memory_mb: resident memory of the process with all segments loaded.
    """

    format: int = 1
    name: str
    bundle_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    network: str = ""
    cuts: tuple[tuple[str, ...], ...] = ()
    device: Device
    segments: tuple[Timing, ...] = Field(min_length=1)
    heads: tuple[Timing, ...]
    tensor: Timing
    payloads: tuple[Payload, ...]
    precision: str = ""
    slowdown: float = Field(default=1.0, ge=1.0)
    memory_mb: float | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> HwProfile:
        if len(self.heads) != len(self.segments):
            raise ValueError(f"{len(self.segments)} segments but {len(self.heads)} heads")
        if [payload.cut for payload in self.payloads] != list(range(len(self.segments))):
            raise ValueError(f"payloads must be given for cuts 0..{len(self.segments) - 1}")
        return self

    @property
    def exits(self) -> int:
        """K."""
        return len(self.segments)

    def device_ms(self) -> FloatArray:
        """(K+1,) milliseconds until segment k is done on the device that this stands for; [0] = 0."""
        steps = [0.0, *(self.slowdown * timing.p50_ms for timing in self.segments)]
        steps[1] += self.slowdown * self.tensor.p50_ms
        result: FloatArray = np.cumsum(steps)
        return result

    def head_ms(self) -> FloatArray:
        """(K+1,) milliseconds of exit k on the device that this stands for; [0] = 0."""
        return np.array([0.0, *(self.slowdown * timing.p50_ms for timing in self.heads)])

    def encode_ms(self) -> FloatArray:
        """(K,) milliseconds to encode the payload of cut k on the device that this stands for."""
        return np.array([self.slowdown * payload.encode.p50_ms for payload in self.payloads])

    def check_bound_to(self, bundle_id: str, where: str = "profile", precision: str | None = None) -> None:
        """Refuse another bundle, and another precision than the one that shall run, if any shall.

        Raises:
            ProfileError: measured with another bundle, or in another precision.
        """
        if self.bundle_id != bundle_id:
            raise ProfileError(
                f"{where}: measured with bundle {self.bundle_id[:12]}, this one is {bundle_id[:12]}; "
                f"run 'offramp profile'"
            )
        if precision is not None and self.precision != precision:
            raise ProfileError(
                f"{where}: measured {_spoken(self.precision)}, this camera runs {_spoken(precision)}; "
                f"run 'offramp profile{f' --precision {precision}' if precision else ''}'"
            )


def _spoken(precision: str) -> str:
    return f"at precision {precision!r}" if precision else "with the pieces as exported"


def load(path: Path) -> HwProfile:
    """Read a profile.

    Raises:
        ProfileError: unreadable or not a profile.
    """
    try:
        return HwProfile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read ({error.strerror}); measure one with 'offramp profile'") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: not valid YAML; measure it again with 'offramp profile'") from error
    except ValidationError as error:
        raise ProfileError(f"{path}: {first_error(error, HwProfile)}; measure one with 'offramp profile'") from error


def save(profile: HwProfile, path: Path) -> None:
    """Write atomically, as YAML."""
    write_atomically(path, yaml.safe_dump(profile.model_dump(mode="json"), sort_keys=False, width=110).encode())
