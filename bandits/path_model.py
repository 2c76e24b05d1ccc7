"""What every way to an answer costs, as measured or as published; replay prices frames with it.

A path runs segments 1..k, reads some exits, and answers there or ships.  What it ships is the payload that is
cheapest on average among those that the policy allows: the input (cut 0), an earlier hidden state or hidden
state k itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator

from bandits.link_fit import fit_link
from bandits.policy import Costs
from split_core.config import Section, first_error
from split_core.errors import ProfileError, TraceError
from split_core.files import write_atomically
from split_core.objective import Objective
from split_core.telemetry.decisions import FrameRecord
from split_core.tensors import FloatArray
from split_core.traces import Traces

Ship = Literal["any", "hidden"]


@dataclass(frozen=True, slots=True)
class Paths:
    """What shipping costs, per frame and depth 0..K-1, with the payload chosen for the depth.

    Attributes:
        payload: the cut that is shipped, per depth.
        allowed: (K,) bool: may anything be shipped from this depth?
        ship_ms: (N, K) encode, link without its residual, cloud, and taking the answer in.
        payload_bytes: (N, K).
        cloud_ms: (K,).
    """

    payload: tuple[int, ...]
    allowed: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ship_ms: FloatArray
    payload_bytes: FloatArray
    cloud_ms: FloatArray


class PathModel(Section):
    """Costs of every path through a network of K exits.  Times in milliseconds.

    Attributes:
        device_ms: K+1 cumulative times of segments 1..k; the first is 0.
        head_ms: K+1 times of reading exit k; the first is 0.
        encode_ms: K times of packing the tensors of cut 0..K-1.
        cloud_ms: K times of the worker when it starts from cut 0..K-1.
        link_base_ms, link_ms_per_kb: the link's line.
        link_residual_ms: what measured round trips had beyond the line; replay draws from it.
        frame_ms: what every frame takes beside segments and heads.
        result_ms: what a shipped frame takes beyond that, encoding, link and cloud.
        objective: weights of cost and reward.
        ship: "any" lets the compressed input leave the device, "hidden" only hidden states.
        deadline_ms: None for no deadline.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    device_ms: tuple[float, ...] = Field(min_length=2)
    head_ms: tuple[float, ...]
    encode_ms: tuple[float, ...]
    cloud_ms: tuple[float, ...]
    link_base_ms: float = Field(ge=0)
    link_ms_per_kb: float = Field(default=0.0, ge=0)
    link_residual_ms: tuple[float, ...] = (0.0,)
    frame_ms: float = Field(default=0.0, ge=0)
    result_ms: float = Field(default=0.0, ge=0)
    objective: Objective = Objective()
    ship: Ship = "any"
    deadline_ms: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fits_together(self) -> PathModel:
        lengths = {"head_ms": self.exits + 1, "encode_ms": self.exits, "cloud_ms": self.exits}
        for name, length in lengths.items():
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name} must have {length} values, got {len(getattr(self, name))}")
        for name in ("device_ms", *lengths):
            if min(getattr(self, name)) < 0.0:
                raise ValueError(f"{name} must not be negative, got {min(getattr(self, name)):g}")
        if self.device_ms[0] != 0.0 or self.head_ms[0] != 0.0 or not self.link_residual_ms:
            raise ValueError("device_ms and head_ms must start with 0, link_residual_ms must not be empty")
        return self

    @property
    def exits(self) -> int:
        """K."""
        return len(self.device_ms) - 1

    @property
    def splits(self) -> tuple[int, ...]:
        """Where a frame may stop: 0 only when inputs may be shipped."""
        return tuple(range(0 if self.ship == "any" else 1, self.exits + 1))

    @property
    def mean_residual_ms(self) -> float:
        """Mean of `link_residual_ms`."""
        return float(np.mean(self.link_residual_ms))

    @staticmethod
    def published(
        exits: int, *, per_layer: float, offload: float, head: float = 0.0, mu: float = 1.0, ship: Ship = "hidden"
    ) -> PathModel:
        """Constant costs of the SplitEE family, as `Costs.published`; its action space has no split 0."""
        return PathModel(
            device_ms=tuple(per_layer * k for k in range(exits + 1)),
            head_ms=(0.0, *[head] * exits),
            encode_ms=(0.0,) * exits,
            cloud_ms=(0.0,) * exits,
            link_base_ms=offload,
            objective=Objective(ms=1.0, mu=mu),
            ship=ship,
        )

    def cuts(self, traces: Traces) -> tuple[FloatArray, FloatArray]:
        """(N, K) milliseconds of shipping the tensors of cut 0..K-1, link residual left out, and their bytes.

        Without payload bytes in the trace they count as 0.

        Raises:
            ProfileError: the trace has another number of exits.
            TraceError: the trace is empty.
        """
        if traces.exits != self.exits:
            raise ProfileError(f"these costs are for {self.exits} exits, the trace has {traces.exits}")
        if not traces.samples:
            raise TraceError("the trace has no samples; record one with 'offramp trace'")
        sizes = traces.payload_bytes if traces.payload_bytes.size else np.zeros(traces.confidence.shape)
        return self.fixed_ms + self.link_base_ms + self.link_ms_per_kb * sizes / 1000.0, sizes.astype(np.float64)

    @property
    def fixed_ms(self) -> FloatArray:
        """(K,) what shipping from cut 0..K-1 takes beside the link."""
        result: FloatArray = np.add(self.encode_ms, self.cloud_ms) + self.result_ms
        return result

    def paths(self, traces: Traces) -> Paths:
        """Shipping priced for every frame of `traces`; raises what `cuts` does."""
        cut_ms, sizes = self.cuts(traces)
        payload = self.payloads(self._price(cut_ms.mean(axis=0), sizes.mean(axis=0)))
        chosen = list(payload)
        return Paths(
            payload,
            np.arange(self.exits) >= self.splits[0],
            cut_ms[:, chosen],
            sizes[:, chosen],
            np.asarray(self.cloud_ms)[chosen],
        )

    def payloads(self, price: FloatArray) -> tuple[int, ...]:
        """The cut that is cheapest to ship from each depth 0..K-1, at these (K,) prices of cuts."""
        return tuple(self._cheapest(price, depth) for depth in range(self.exits))

    def _price(self, cut_ms: FloatArray, sizes: FloatArray) -> FloatArray:
        weights = self.objective
        price: FloatArray = (
            weights.ms * cut_ms + weights.kb * sizes / 1000.0 + weights.cloud_ms * np.asarray(self.cloud_ms)
        )
        return price

    def _cheapest(self, price: FloatArray, depth: int) -> int:
        cuts = range(min(self.splits[0], depth), depth + 1)
        return min(cuts, key=lambda cut: (price[cut], -cut))  # of equals the deepest: least left to do

    def costs(self, traces: Traces) -> Costs:
        """Mean costs over `traces`, as a context carries them."""
        cut_ms, sizes = self.cuts(traces)
        return self.costs_at(cut_ms.mean(axis=0) + self.mean_residual_ms, sizes.mean(axis=0))

    def costs_at(self, cut_ms: FloatArray, sizes: FloatArray) -> Costs:
        """The same for what a device believes: (K,) milliseconds and bytes of shipping from each cut."""
        price = self._price(cut_ms, sizes)
        payload = self.payloads(price)
        weights = self.objective
        return Costs(
            weights.ms * np.asarray(self.device_ms),
            weights.ms * np.asarray(self.head_ms),
            np.where(np.arange(self.exits) >= self.splits[0], price[list(payload)], np.inf),
            payload,
        )


def fit_path_model(
    records: Iterable[FrameRecord],
    *,
    device_ms: Sequence[float],
    head_ms: Sequence[float],
    encode_ms: Sequence[float],
    cloud_ms: Sequence[float],
    objective: Objective,
    ship: Ship,
    deadline_ms: float | None,
    rng: np.random.Generator,
) -> PathModel:
    """Costs as a run has just met them: the link from the decision log, the rest from profiles.

    Only answers that came are in a log, so this is the link while it works: replies later than the
    deadline are not in it.

    Args:
        records: of a run in which at least one frame was answered by the cloud.
        device_ms: (K+1,) as in `PathModel`, and so are the next three.
        head_ms: (K+1,).
        encode_ms: (K,).
        cloud_ms: (K,).
        objective: weights of cost and reward.
        ship: what may leave the device.
        deadline_ms: None for no deadline.
        rng: draws the residuals that are kept.

    Raises:
        ProfileError: no frame of the log was answered by the cloud.
    """
    records = list(records)
    shipped = [r for r in records if r.where == "cloud" and not r.degraded]
    if not shipped:
        raise ProfileError("no frame of this log was answered by the cloud; the link cannot be fitted")
    link = fit_link(
        np.array([r.link_ms for r in shipped]), np.array([r.payload_bytes for r in shipped], np.float64), rng
    )
    local = [r.latency_ms - r.device_ms for r in records if r.where == "edge" and not r.degraded]
    beyond = [r.latency_ms - r.device_ms - r.encode_ms - r.link_ms - r.cloud_ms for r in shipped]
    frame_ms = max(0.0, float(np.median(local))) if local else 0.0
    return PathModel(
        device_ms=_floats(device_ms),
        head_ms=_floats(head_ms),
        encode_ms=_floats(encode_ms),
        cloud_ms=_floats(cloud_ms),
        link_base_ms=link.base_ms,
        link_ms_per_kb=link.ms_per_kb,
        link_residual_ms=_floats(link.residual_ms),
        frame_ms=frame_ms,
        result_ms=max(0.0, float(np.median(beyond)) - frame_ms),
        objective=objective,
        ship=ship,
        deadline_ms=deadline_ms,
    )


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def load(path: Path) -> PathModel:
    """Read what `save` wrote.

    Raises:
        ProfileError: not there, or not such costs; one line.
    """
    try:
        return PathModel.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ProfileError(
            f"{path}: cannot be read ({error.strerror}); 'offramp replay --save-costs' writes one"
        ) from error
    except ValidationError as error:
        raise ProfileError(
            f"{path}: {first_error(error, PathModel)}; 'offramp replay --save-costs' writes one"
        ) from error


def save(model: PathModel, path: Path) -> None:
    """Write as JSON, atomically."""
    write_atomically(path, model.model_dump_json(indent=1).encode())
