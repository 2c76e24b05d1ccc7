"""What a person writes for a camera; `configs/edge.yaml` is the commented example."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from edge_runtime.releases.section import ReleasesSection
from split_core.config import Section
from split_core.policy import BanditSection
from split_core.release import Held

CAMERA = "{camera}"  # in a path: the camera's name


def _listed(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return (value,) if value else ()
    return value


Several = Annotated[tuple[str, ...], BeforeValidator(_listed)]  # written as a text, or as a list of texts


class SourceSection(Section):
    """Where frames come from.

    Attributes:
        kind: name in `edge_runtime.sources.SOURCES`.
        fps: frames per second at most; 0 takes them as they come.
        limit: stop after so many frames; 0 never.
        every: wait until a frame is taken instead of dropping it for a newer one; for files, not for cameras.
        motion: of a camera: share of the picture that must have changed; 0 answers still scenes, too.
        watchdog_s: of a camera: without a picture for so long, it is opened again.
        options: what that kind of source takes: `path`, `loop`, ...
    """

    kind: str
    fps: float = Field(default=0.0, ge=0)
    limit: int = Field(default=0, ge=0)
    every: bool = False
    motion: float = Field(default=0.0, ge=0, le=1)
    watchdog_s: float = Field(default=5.0, gt=0)
    options: dict[str, Any] = Field(default_factory=dict)


class LinkSection(Section):
    """The workers, and how patient to be with them.

    Attributes:
        address: `tcp://host:port`, or a list of them; empty runs without any cloud.
        transport: name in `split_core.transport.TRANSPORTS`.
        server_key: the workers' public key file (`.key`), or one for each; CURVE is on when it is given.
        secret_key: this device's own `.key_secret`; a throw-away pair when absent.
        plain: must be true to run without CURVE.
        in_flight: offloads at most that wait for one worker's answer.
        failures: lost offloads in a row that open the breaker.
        probe_every_ms: how often to look for a worker while its breaker is open.
        hedge: go on here with frames whose answers take longer than expected; the first full answer wins.
        mb_per_hour: payloads at most, for a link that is metered; 0 is without limit.
        max_per_s: offloads at most; 0 is without limit.
        base_ms, ms_per_kb: what to believe of the link before anything was measured.
    """

    address: Several = ()
    transport: str = "zmq"
    server_key: Several = ()
    secret_key: str = ""
    plain: bool = False
    in_flight: int = Field(default=32, ge=1)
    failures: int = Field(default=2, ge=1)
    probe_every_ms: float = Field(default=200.0, gt=0)
    hedge: bool = False
    mb_per_hour: float = Field(default=0.0, ge=0)
    max_per_s: float = Field(default=0.0, ge=0)
    base_ms: float = Field(default=20.0, ge=0)
    ms_per_kb: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _is_safe(self) -> LinkSection:
        if self.address and not self.server_key and not self.plain:
            raise ValueError("give server_key (the worker's .key file), or plain: true to send in the clear")
        if len(self.server_key) > 1 and len(self.server_key) != len(self.address):
            raise ValueError(f"{len(self.server_key)} server_key for {len(self.address)} address: one, or one for each")
        if len(set(self.address)) < len(self.address):
            raise ValueError("address: one worker is listed twice")
        return self


class AuditSection(Section):
    """Checking answers of this device in the cloud, in the background; see `edge_runtime.checks.audit`.

    Attributes:
        share: of the frames that an early exit answered here; 0 checks none.
        patience_ms: how long an audit may wait for an idle moment, and then for its verdict.
    """

    share: float = Field(default=0.0, ge=0, le=1)
    patience_ms: float = Field(default=2000.0, gt=0)


class BacklogSection(Section):
    """Frames that the cloud should see later, kept on disk; see `edge_runtime.checks.forwarder`.

    Attributes:
        path: of the database.
        megabytes: of frames in it at most.
        drop: which make room for others, the "oldest" or the "surest".
        keep: "degraded" (answered here because of the link), "marked", "audit" (drawn, and nobody to send it to).
    """

    path: str
    megabytes: float = Field(default=256.0, gt=0)
    drop: Literal["oldest", "surest"] = "oldest"
    keep: tuple[Literal["degraded", "marked", "audit"], ...] = ("degraded", "marked", "audit")


class StreamSection(Section):
    """One of several cameras on one device; what is not said here is as for all of them.

    Attributes:
        source: where its frames come from.
        metadata: what is true of it, beside what is true of all.
        deadline_ms: from capture to outcome; 0 for that of all.
    """

    source: SourceSection
    metadata: dict[str, str] = Field(default_factory=dict)
    deadline_ms: float = Field(default=0.0, ge=0)


class SinkSection(Section):
    """Where outcomes go; further keys are what that kind takes: `path`, `address`, ...

    Attributes:
        kind: name in `edge_runtime.sinks.SINKS`.
        only: which outcomes, words of `edge_runtime.sinks.wanted.WANTED`; several mean any of them.
        queue: outcomes that may wait for a peer that is slow or away; further ones are lost, and counted.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str
    only: tuple[Literal["all", "changed", "degraded", "marked"], ...] = Field(default=("all",), min_length=1)
    queue: int = Field(default=4096, ge=1)

    @field_validator("only", mode="before")
    @classmethod
    def _one_is_a_list(cls, only: Any) -> Any:
        return (only,) if isinstance(only, str) else only

    @property
    def options(self) -> dict[str, Any]:
        """What that kind takes."""
        return dict(self.model_extra or {})


class EdgeConfig(Section):
    """A device with one camera, or with several that share its engines and its link.

    Attributes:
        camera: its name, for the worker's fairness and for metrics.
        bundle: folder with the manifest.
        policy, profile: files; paths are relative to the working directory.  `policy` may be a store (see
            `split_core.policy_store`): the camera then follows what is active there, without a restart.
        releases: instead of these three: what is active in a store of releases.
        policy_keys: public signing keys in hex; when any are given, only signed policies are taken.
        metadata: what is true of this stream, such as `site: north`; picks the thresholds of its segment.
        guardrail: `package.module:function` that may send an answer deeper, see `edge_runtime.frames.guardrail`.
        source: of the one camera; or
        streams: by name, several.  `decisions` and `state` then hold "{camera}", one file for each.
        together: frames of different cameras that may be run through the first segments at once; 0 finds out at the
            start what pays on this device, 1 runs each alone.
        drift_window: confidences per exit that are compared with the calibration's.
        drift_every: only every so many-th frame is compared; 0 is one in half a minute for cameras and videos, whose
            neighbouring frames are alike, and every frame of anything else.
        drift_inputs: are inputs compared, too?  Confidences always are.
        audit: a share of the answers given here is checked afterwards.
        backlog: frames that the cloud should have seen wait on disk for it; None keeps none.
        backend: name in `split_core.backends.BACKENDS`; `threads` is per session.
        backend_options: what that backend takes: `precision`, `ranges`, ...
        precision: of the bundle's pieces: "int8", ...; empty takes them as exported.
        deadline_ms: from capture to outcome.
        margin_ms: kept free before the deadline for what the device itself may still have to do.
        bandit: replaces the policy file's bandit.
        state: where the policy keeps what it learned; empty forgets.
        decisions: the decision log; empty keeps none.
        decisions_mb: rotated when it has reached so many megabytes.
        decisions_keep: so many rotated files stay beside it.
        outcomes: sinks.  A text is short for JSON lines: a file, or "-" for standard output; empty writes none.
        http: `host:port` for health and metrics; empty serves none.
        ready_file: JSON with the addresses, written when the loop runs.
        seed: of the policy's randomness.
    """

    camera: str = "camera"
    bundle: str = ""
    policy: str = ""
    profile: str = ""
    releases: ReleasesSection | None = None
    policy_keys: tuple[str, ...] = ()
    metadata: dict[str, str] = Field(default_factory=dict)
    guardrail: str = ""
    drift_window: int = Field(default=500, ge=100)
    drift_every: int = Field(default=0, ge=0)
    drift_inputs: bool = True
    source: SourceSection | None = None
    streams: dict[str, StreamSection] = Field(default_factory=dict)
    together: int = Field(default=0, ge=0, le=64)
    link: LinkSection = Field(default_factory=LinkSection)
    audit: AuditSection = Field(default_factory=AuditSection)
    backlog: BacklogSection | None = None
    backend: str = "onnxruntime"
    backend_options: dict[str, Any] = Field(default_factory=dict)
    precision: str = ""
    threads: int = Field(default=1, ge=1)
    deadline_ms: float = Field(default=200.0, gt=0)
    margin_ms: float = Field(default=20.0, gt=0)
    bandit: BanditSection | None = None
    state: str = ""
    decisions: str = ""
    decisions_mb: float = Field(default=64.0, gt=0)
    decisions_keep: int = Field(default=4, ge=1)
    outcomes: tuple[SinkSection, ...] = ()
    http: str = ""
    ready_file: str = ""
    seed: int = 0

    @field_validator("outcomes", mode="before")
    @classmethod
    def _path_is_a_sink(cls, outcomes: Any) -> Any:
        if isinstance(outcomes, str):
            return [{"kind": "jsonl", "path": outcomes}] if outcomes else []
        return [outcomes] if isinstance(outcomes, dict) else outcomes

    @model_validator(mode="after")
    def _says_what_to_run(self) -> EdgeConfig:
        given = [name for name in ("bundle", "policy", "profile") if getattr(self, name)]
        if len(given) != (0 if self.releases else 3):
            raise ValueError(f"give bundle, policy and profile, or releases; got {', '.join(given) or 'none of them'}")
        return self

    @model_validator(mode="after")
    def _has_time(self) -> EdgeConfig:
        for deadline_ms in (self.deadline_ms, *(s.deadline_ms for s in self.streams.values() if s.deadline_ms)):
            if self.margin_ms >= deadline_ms:
                raise ValueError(f"margin_ms {self.margin_ms} must be smaller than deadline_ms {deadline_ms}")
        return self

    @model_validator(mode="after")
    def _says_what_to_see(self) -> EdgeConfig:
        for name in self.streams:
            if not re.fullmatch(r"[\w.-]{1,64}", name):
                raise ValueError(f"streams: a camera's name has letters, digits, '_', '.' and '-' only, got {name!r}")
        if (self.source is None) == (not self.streams):
            raise ValueError("give source, or streams with a source for each camera, and not both")
        for name in ("decisions", "state"):
            path = getattr(self, name)
            if len(self.streams) > 1 and path and CAMERA not in path:
                raise ValueError(f"{name} {path!r} would be the same file for all cameras; put {CAMERA} into it")
        return self

    def with_release(self, held: Held) -> EdgeConfig:
        """The same as if the three things in force had been written there."""
        paths = {"bundle": str(held.bundle), "policy": str(held.policy), "profile": str(held.profile)}
        return self.model_copy(update={**paths, "releases": None})

    def cameras(self) -> dict[str, EdgeConfig]:
        """The same for each camera alone, as if it were the only one."""
        if not self.streams:
            return {self.camera: self._named(self.camera)}
        return {name: self._named(name, stream) for name, stream in self.streams.items()}

    def _named(self, name: str, stream: StreamSection | None = None) -> EdgeConfig:
        own = {key: getattr(self, key).replace(CAMERA, name) for key in ("decisions", "state")}
        if stream is None:
            return self.model_copy(update=own)
        alone = {"source": stream.source, "streams": {}}
        metadata = {**self.metadata, **stream.metadata}
        deadline_ms = stream.deadline_ms or self.deadline_ms
        return self.model_copy(update={**own, **alone, "metadata": metadata, "deadline_ms": deadline_ms})
