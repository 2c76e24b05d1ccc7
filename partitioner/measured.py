"""How far along a network each cut is, in time as a device measured it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.listing import CutRow
from partitioner.network import Network
from split_core.errors import ProfileError
from split_core.profiles import HwProfile


def progress_by_time(network: Network, rows: Sequence[CutRow], profile: HwProfile) -> list[float]:
    """Share of the device's time that lies before each cut, in [0, 1].

    At the cuts that the profiled bundle had it is measured; between two of them it grows with compute.

    Args:
        network: imported.
        rows: cuts, in the order of depth.
        profile: of a bundle of the same network, best of one made with `--cuts all`.

    Raises:
        ProfileError: of another network, or of a bundle whose cuts are not among `rows`.
    """
    if profile.network != network.source.get("sha256"):
        raise ProfileError(
            f"profile {profile.name!r}: measured with another network; partition this one with --cuts all, "
            f"run 'offramp profile' with that bundle on the device, and give its profile"
        )
    compute = {row.tensors: row.compute_before for row in rows}
    known = [
        (compute[tensors], ms)
        for tensors, ms in zip(profile.cuts, profile.device_ms()[1:], strict=False)
        if tensors in compute
    ]
    if not known:
        raise ProfileError(
            f"profile {profile.name!r}: none of its cuts is one of this network's; profile a bundle of it"
        )
    whole_ms = float(profile.device_ms()[-1])
    shares, times = zip((0.0, 0.0), *known, (1.0, whole_ms), strict=True)
    return [float(ms / whole_ms) for ms in np.interp([row.compute_before for row in rows], shares, times)]
