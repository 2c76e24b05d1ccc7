"""What every path costs now: begun from the profile, corrected by every frame.

Device steps and payload sizes are exponential means; the link is the line of `bandits.link_estimate`, which
replay uses too, so that a replayed policy knows no more of a link than a camera would.  What else makes up the way
to the worker is in `edge_runtime.frames.way`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.link_estimate import LinkModel as LinkModel
from bandits.policy import Costs
from edge_runtime.frames.way import Way
from edge_runtime.link.greetings import Greeting
from split_core.objective import Objective
from split_core.profiles import HwProfile

DEVICE_RATE = 0.02  # weight of a new measurement; a device changes in seconds (clocks, heat)
REPRICE_EVERY = 16  # frames: device steps drift slowly, and pricing takes 20 us
OUTLIER = 4.0  # a step that took this many times its mean counts as this many: one hiccup is no trend


class CostBook:
    """Measured costs of one device and its link.

    Args:
        profile: where the estimates start.
        link: prior of the link.

    Attributes:
        link: as given.
        way: to the worker, with that link.
        watts: what the device draws, as far as that is known; see `edge_runtime.energy`.
    """

    def __init__(self, profile: HwProfile, link: LinkModel) -> None:
        self.link, self.way = link, Way(link)
        self.watts: float | None = None
        self._segment_ms = [0.0, *(float(ms) for ms in np.diff(profile.device_ms()))]
        self._head_ms = [float(ms) for ms in profile.head_ms()]
        self._encode_ms = [float(ms) for ms in profile.encode_ms()]
        self._payload_bytes = [float(payload.bytes_p50) for payload in profile.payloads]
        # Until the worker has told its own times: as fast as the machine behind the profile.
        steps = [timing.p50_ms for timing in profile.segments]
        self._cloud_ms = [sum(steps[cut:]) for cut in range(len(steps))]
        self._heard = [False] * len(steps)
        self._priced: dict[tuple[Objective, bool], Costs] = {}  # empty when something was measured since
        self._unpriced = 0

    def go_on_from(self, other: CostBook) -> None:
        """Go on with what is known of the link, and of the device: they are the same, whatever network runs."""
        self.link, self.way, self.watts = other.link, other.way, other.watts
        self._reprice()

    @property
    def exits(self) -> int:
        """K."""
        return len(self._encode_ms)

    def observe_device(self, segment_ms: Sequence[float], head_ms: Sequence[float]) -> None:
        """Times of one frame's steps, (K+1,) each; 0 where a step was not run."""
        for means, measured in ((self._segment_ms, segment_ms), (self._head_ms, head_ms)):
            for k, ms in enumerate(measured):
                if ms > 0.0:
                    means[k] += DEVICE_RATE * (min(ms, OUTLIER * means[k] + 0.1) - means[k])
        self._unpriced += 1
        if self._unpriced >= REPRICE_EVERY:
            self._reprice()

    def observe_payload(self, cut: int, encode_ms: float, payload_bytes: int) -> None:
        """One payload was packed."""
        self._encode_ms[cut] += DEVICE_RATE * (encode_ms - self._encode_ms[cut])
        self._payload_bytes[cut] += DEVICE_RATE * (payload_bytes - self._payload_bytes[cut])
        self._reprice()

    def at(self, now: float, idle_s: float) -> None:
        """Time has passed, and nothing was sent for so long."""
        if self.way.at(now, idle_s):
            self._reprice()

    def observe_loss(self, cut: int, payload_bytes: int, waited_ms: float) -> None:
        """One offload was given up after so long."""
        self.way.lost(payload_bytes, waited_ms - self.way.queue_ms - self._cloud_ms[cut])
        self._reprice()

    def observe_greeting(self, greeting: Greeting) -> None:
        """A greeting was answered: the way, where no offload has told of it."""
        self.way.greeted(greeting.payload_bytes, greeting.way_ms, greeting.idle_s)
        self._reprice()

    def observe_queue(self, queue_ms: float) -> None:
        """How long a frame's offload waited in the worker; an audit, which lets others pass, says nothing of that."""
        self.way.waited(queue_ms)

    def observe_offload(
        self, cut: int, payload_bytes: int, link_ms: float, cloud_ms: float, idle_s: float = 0.0
    ) -> None:
        """One offload came back, in time or not; nothing had been sent for `idle_s` before it."""
        self.way.observe(payload_bytes, link_ms, idle_s)
        if self._heard[cut]:
            self._cloud_ms[cut] += 0.05 * (cloud_ms - self._cloud_ms[cut])
        else:
            self._cloud_ms[cut], self._heard[cut] = cloud_ms, True
        self._reprice()

    def segment_ms(self, first: int, last: int) -> float:
        """Expected time of segments first..last."""
        return sum(self._segment_ms[first : last + 1])

    def head_ms(self, k: int) -> float:
        """Expected time of exit k."""
        return self._head_ms[k]

    def ship_ms(self, cut: int) -> float:
        """Expected time from handing over the payload of `cut` to its answer."""
        return self._encode_ms[cut] + self.way.ms(self._payload_bytes[cut]) + self._cloud_ms[cut]

    def joules(self, busy_ms: float) -> float | None:
        """What the device draws while it works on a frame for so long; None where nothing tells what it draws."""
        return None if self.watts is None else self.watts * busy_ms / 1e3

    def payload_bytes(self, cut: int) -> float:
        """Expected size of the payload of `cut`."""
        return self._payload_bytes[cut]

    def costs(self, objective: Objective, *, ship_input: bool) -> Costs:
        """What a policy is told, in units of its objective; priced anew after every offload and every 16 frames.

        Args:
            objective: what costs what.
            ship_input: may the compressed input leave the device?
        """
        priced = self._priced.get((objective, ship_input))
        if priced is None:
            priced = self._priced[objective, ship_input] = self._price(objective, ship_input=ship_input)
        return priced

    def _reprice(self) -> None:
        self._unpriced = 0
        self._priced.clear()

    def _price(self, objective: Objective, *, ship_input: bool) -> Costs:
        depths = range(self.exits)
        prices = [
            objective.cost(
                self.ship_ms(cut),
                payload_bytes=self._payload_bytes[cut],
                cloud_ms=self._cloud_ms[cut],
                joules=self.joules(self._encode_ms[cut]),
            )
            for cut in depths
        ]
        if not ship_input:
            prices[0] = float("inf")
        cheapest = [min(range(depth + 1), key=prices.__getitem__) for depth in depths]
        busy_ms_price = objective.cost(1.0, joules=self.joules(1.0))
        device = np.cumsum(self._segment_ms) * busy_ms_price
        head = np.array(self._head_ms) * busy_ms_price
        return Costs(device, head, np.array([prices[cut] for cut in cheapest]), tuple(cheapest))
