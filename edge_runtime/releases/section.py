"""What a person writes about releases, beside `edge_runtime.config`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edge_runtime.releases.trial import Terms
from split_core.config import Section


class ReleasesSection(Section):
    """Bundle, policy and profile as one, which the device changes while it runs; see `split_core.release_store`.

    Attributes:
        store: folder of releases; the device starts with the active one and tries what is put on trial.
        keys: public signing keys in hex; only releases signed with one of them are taken.
        unsigned: must be true to take others.
        url: of a store that is served over HTTP: what is active there is brought here and put on trial; empty brings
            nothing.
        every_s: how often to look there.
        max_mb: of a release that is brought.
        keep: older versions that stay then.
        workers: "wait" for a worker that has the new bundle while a link is up, or go on "alone".
        agree, frames, probation_s, worse, false_alarm: what a release has to show, see `edge_runtime.releases.trial`.
    """

    store: str = Field(min_length=1)
    keys: tuple[str, ...] = ()
    unsigned: bool = False
    url: str = Field(default="", pattern=r"^(https?://[^\\s?#]+)?$")
    every_s: float = Field(default=60.0, gt=0)
    max_mb: float = Field(default=2000.0, gt=0)
    keep: int = Field(default=3, ge=1)
    workers: Literal["wait", "alone"] = "wait"
    agree: float = Field(default=0.8, gt=0, lt=1)
    frames: int = Field(default=1000, ge=1)
    probation_s: float = Field(default=600.0, ge=0)
    worse: float = Field(default=0.02, ge=0, lt=1)
    false_alarm: float = Field(default=0.01, gt=0, lt=1)

    @model_validator(mode="after")
    def _says_whom_it_trusts(self) -> ReleasesSection:
        if self.unsigned == bool(self.keys):
            raise ValueError("give keys (from 'offramp keys --signing'), or unsigned: true to take any release")
        return self

    @property
    def terms(self) -> Terms:
        """The last five."""
        return Terms(self.agree, self.frames, self.probation_s, self.worse, self.false_alarm)
