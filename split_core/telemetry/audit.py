"""Answers that were given on the device and checked in the cloud afterwards, and sums of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from split_core.errors import ArtefactError


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One frame whose audit came back; noted in the decision log behind the frame's own line.

    Attributes:
        seq: the frame's number.
        policy: id of the policy file that it was answered by, 12 digits.
        propensity: probability with which the frame was drawn.
        exit, label, confidence: the answer that was given.
        verdict_label, verdict_confidence: what the full network says.
        shipped: the cut whose tensors were sent.
        payload_bytes: bytes sent.
        link_ms, queue_ms, cloud_ms: parts of the time until the verdict came.
    """

    seq: int
    policy: str
    propensity: float
    exit: int
    label: int
    confidence: float
    verdict_label: int
    verdict_confidence: float
    shipped: int
    payload_bytes: int
    link_ms: float
    queue_ms: float
    cloud_ms: float

    @property
    def agrees(self) -> bool:
        """Does the full network say the same?"""
        return self.label == self.verdict_label

    @staticmethod
    def from_json(value: dict[str, Any]) -> AuditRecord:
        """A record as it was written; unknown keys are an error."""
        try:
            return AuditRecord(**value)
        except TypeError as error:
            raise ArtefactError(f"not an audit's record ({error}); was the log written by another version?") from error


@dataclass(frozen=True, slots=True)
class Promise:
    """How a promise about answers of the device stands.

    Attributes:
        target: share that shall agree.
        lower, upper: bounds on the share that does, since the stage began.
        stage: of the envelope: 0 certified, 1 shrunk, 2 fallen.
    """

    target: float
    lower: float
    upper: float
    stage: int


@dataclass(slots=True)
class AuditTally:
    """Sums over audits.

    Attributes:
        drawn: frames that were to be audited.
        agree, differ: how the answers compared.
        skipped: of those drawn: not sent, because the device or the link had other things to do.
        lost: sent, and not answered.
        payload_bytes: sent; frames' own payloads are not in it.
    """

    drawn: int = 0
    agree: int = 0
    differ: int = 0
    skipped: int = 0
    lost: int = 0
    payload_bytes: int = 0

    def summary(self) -> dict[str, Any]:
        """As JSON types; agreement is None before the first verdict."""
        known = self.agree + self.differ
        return {**asdict(self), "agreement": round(self.agree / known, 4) if known else None}
