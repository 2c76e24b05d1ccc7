"""What the demo does, in numbers: one place, printed in the first lines of the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from split_core.objective import Objective


@dataclass(frozen=True, slots=True)
class Setting:
    """The full demo; `quick()` is the same, shorter.

    Attributes:
        fps: of the stream.
        live_frames: of each live run.
        outage_frames: of the outage run.
        fault_s: how long each fault lasts; `calm_s` is the time before, between and after.
        whole_ms: how long the emulated device takes for the whole network; the exact slow-down follows from it.
        nominal_slowdown: what to reckon with when codecs are chosen, before the device is profiled.
        rate_mbit, delay_ms: of the shaped link, per direction and one way.
        deadline_ms, margin_ms: of every frame.
        calibrate, stream: rows of the embedded images, `start:stop`; never mixed.
        objective: what costs what.
    """

    quick: bool = False
    fps: float = 50.0
    live_frames: int = 1000
    outage_frames: int = 1100
    fault_s: float = 2.0
    calm_s: float = 4.0
    whole_ms: float = 15.0
    nominal_slowdown: float = 50.0
    rate_mbit: float = 10.0
    delay_ms: float = 1.5
    deadline_ms: float = 150.0
    margin_ms: float = 60.0
    calibrate: str = "0:5000"
    stream: str = "5000:10000"
    replay_seeds: int = 5
    objective: Objective = Objective(ms=1.0, kb=1.0, cloud_ms=2.0, mu=0.005)  # noqa: RUF009  (frozen)

    @staticmethod
    def short() -> Setting:
        """For CI: under a minute."""
        return Setting(quick=True, live_frames=150, outage_frames=400, fault_s=1.2, calm_s=1.1, replay_seeds=1)

    @property
    def stream_start(self) -> int:
        """First row of the stream."""
        return int(self.stream.partition(":")[0])

    def headline(self, slowdown: float, device: str) -> list[str]:
        """What a reader must know before any figure."""
        weights = self.objective
        return [
            f"The link is shaped in user space: {self.rate_mbit:g} Mbit/s and {self.delay_ms:g} ms one way, "
            f"per direction, with CURVE encryption.",
            f"The edge device is emulated: this machine ({device}) slowed {slowdown:.1f} times, so that the whole "
            f"network takes {self.whole_ms:g} ms on it; the worker runs on the same machine at full speed.",
            f"Cost of a frame = {weights.ms:g} x latency in ms + {weights.kb:g} x KB sent + {weights.cloud_ms:g} x ms "
            f"of cloud compute; reward = confidence - {weights.mu:g} x cost. {self.fps:g} frames/s, deadline "
            f"{self.deadline_ms:g} ms.",
        ]

    def to_json(self, slowdown: float, device: dict[str, Any]) -> dict[str, Any]:
        """`result.json`'s key `setting`."""
        return {
            "headline": self.headline(slowdown, str(device.get("processor") or device.get("machine"))),
            "link": {"rate_mbit": self.rate_mbit, "delay_ms": self.delay_ms},
            "slowdown": round(slowdown, 3),
            "objective": asdict(self.objective),
            "deadline_ms": self.deadline_ms,
            "fps": self.fps,
            "frames_live": self.live_frames,
            "frames_replayed": int(self.stream.partition(":")[2]) - self.stream_start,
            "replay_seeds": self.replay_seeds,
            "device": device,
            "data": f"Fashion-MNIST test split; rows {self.calibrate} calibrate, rows {self.stream} are the stream",
            "quick": self.quick,
        }
