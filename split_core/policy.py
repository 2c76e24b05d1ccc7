"""The policy file: how to decide, apart from the weights.  Small, versioned, bound to a bundle by hash.

It can be reviewed, compared, changed and rolled back without touching the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from split_core.config import Section, first_error
from split_core.criteria.arrays import read_arrays
from split_core.criteria.build import make_criterion
from split_core.errors import PolicyFileError
from split_core.evidence import Evidence
from split_core.files import canonical_json, sha256_of, write_atomically
from split_core.objective import Objective
from split_core.policy_guard import EnvelopeSection, GuardSection, SegmentsSection
from split_core.readings import ExitCalibration, Reader
from split_core.registry import resolve

if TYPE_CHECKING:
    from split_core.intake import Intake

FORMAT = 1
# Who decides where nobody is asked for: what `offramp calibrate` writes, and what reports call ours.
DEFAULT_BANDIT = "sequential"
OPTIONAL = frozenset({"criterion_params", "criterion_arrays", "guard", "envelope", "segments"})


class ObjectiveSection(Section):
    """Weights of the one cost, see `split_core.objective`."""

    ms: float = Field(default=1.0, ge=0)
    kb: float = Field(default=0.0, ge=0)
    cloud_ms: float = Field(default=0.0, ge=0)
    joule: float = Field(default=0.0, ge=0)
    mu: float = Field(default=0.01, ge=0)

    def build(self) -> Objective:
        """The value that computes."""
        return Objective(**self.model_dump())


class ExitSection(Section):
    """Calibration of one exit, with what was measured on the calibration samples.

    Attributes:
        temperature, scores, accuracies: see `split_core.readings.ExitCalibration`.
        accuracy: on all calibration samples.
        ece_before, ece_after: expected calibration error on a half that was not fitted on.
        certified: the smallest confidence from which on this exit agrees with the full network as
            `Evidence.target` asks; None when no confidence does, or none was asked for.
    """

    temperature: float = Field(default=1.0, gt=0)
    scores: tuple[float, ...] = ()
    accuracies: tuple[float, ...] = ()
    accuracy: float | None = None
    ece_before: float | None = None
    ece_after: float | None = None
    certified: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _checks_itself(self) -> ExitSection:
        self.build()
        return self

    def build(self) -> ExitCalibration:
        """The value that computes."""
        return ExitCalibration(self.temperature, self.scores, self.accuracies)


class ArraysSection(Section):
    """Trained arrays of a criterion: an `.npz` beside the policy file, which is refused when it was changed."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.npz$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class BanditSection(Section):
    """Which policy decides, and its parameters; see `bandits.POLICIES`."""

    # Not `DEFAULT_BANDIT`: an id is of what is no default, so files that were sealed with a grid keep theirs.
    name: str = "grid"
    params: dict[str, Any] = Field(default_factory=dict)


class CodecSection(Section):
    """Names in `split_core.codecs.CODECS`."""

    hidden: str = "u8z"
    input: str = "webp"

    @classmethod
    def usual(cls, intake: Intake | None) -> CodecSection:
        """Where nothing was measured: what suits the network's kind of input."""
        return cls(input=intake.codec) if intake else cls()


class PolicyFile(Section):
    """Everything that decides "this answer is good enough", for one bundle.

    Attributes:
        bundle_id: the bundle it was made for; loading it with another one is refused.
        criterion: name in `split_core.criteria.CRITERIA`.
        criterion_params: its parameters.
        criterion_arrays: its trained arrays, when it has any.
        exits: calibration of exits 1..K.
        bandit: who decides, and how.
        guard: what may not be answered early; None forbids nothing.
        envelope: what is promised of early answers, and checked; None checks nothing.
        segments: thresholds of streams by their metadata; None has the bandit's for all.
        objective: what costs what.
        ship: "any" lets the compressed input leave the device, "hidden" only hidden states.
        codecs: how hidden states and inputs are packed.
    """

    format: int = FORMAT
    version: int = Field(default=1, ge=1)
    bundle_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    criterion: str = "max_prob"
    criterion_params: dict[str, Any] = Field(default_factory=dict)
    criterion_arrays: ArraysSection | None = None
    exits: tuple[ExitSection, ...] = Field(min_length=1)
    bandit: BanditSection = Field(default_factory=BanditSection)
    guard: GuardSection | None = None
    envelope: EnvelopeSection | None = None
    segments: SegmentsSection | None = None
    objective: ObjectiveSection = Field(default_factory=ObjectiveSection)
    ship: Literal["any", "hidden"] = "any"
    codecs: CodecSection = Field(default_factory=CodecSection)
    evidence: Evidence = Field(default_factory=Evidence)

    @property
    def id(self) -> str:
        """SHA-256 of the content, in hex; of what is not a default, so that a new setting changes no old id."""
        return sha256_of(canonical_json(self.model_dump(mode="json", exclude_defaults=True)))

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what older files do not know, so that their ids stay what they are."""
        document: dict[str, Any] = write(self)
        return {key: value for key, value in document.items() if value or key not in OPTIONAL}

    def reader(self, folder: Path | None = None) -> Reader:
        """Turns this bundle's logits into calibrated readings.

        Args:
            folder: where `criterion_arrays` lies: beside the policy file.

        Raises:
            ConfigError: the criterion or one of its parameters does not exist, or its arrays are not given.
            PolicyFileError: the arrays are not those that the policy was made with.
        """
        arrays = None
        if self.criterion_arrays:
            arrays = read_arrays((folder or Path()) / self.criterion_arrays.file, self.criterion_arrays.sha256)
        criterion = make_criterion(self.criterion, exits=len(self.exits), params=self.criterion_params, arrays=arrays)
        return Reader([section.build() for section in self.exits], criterion)

    def check_bound_to(self, bundle_id: str, exits: int, where: str = "policy") -> None:
        """Refuse another bundle.

        Raises:
            PolicyFileError: made for another bundle, or for another number of exits.
        """
        if self.bundle_id != bundle_id:
            raise PolicyFileError(
                f"{where}: made for bundle {self.bundle_id[:12]}, this one is {bundle_id[:12]}; "
                f"run 'offramp calibrate' for it"
            )
        if len(self.exits) != exits:
            raise PolicyFileError(f"{where}: calibrates {len(self.exits)} exits, the bundle has {exits}")


def load(path: Path, signers: Sequence[str] = ()) -> PolicyFile:
    """Read a policy file.

    Args:
        path: the file.
        signers: public keys, hex; when any are given, one of them must have signed the file.

    Raises:
        PolicyFileError: unreadable, not a policy, its id is not that of its content, or not signed as asked.
        MissingExtra: signatures shall be checked, and the library for it is not installed.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        said, signature = document.pop("id"), document.pop("signature", "")
        policy = PolicyFile.model_validate(document)
    except OSError as error:
        raise PolicyFileError(
            f"{path}: cannot be read ({error.strerror}); make one with 'offramp calibrate'"
        ) from error
    except ValidationError as error:
        raise PolicyFileError(f"{path}: {first_error(error, PolicyFile)}") from error
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
        raise PolicyFileError(f"{path}: not a policy file; make one with 'offramp calibrate'") from error
    if said != policy.id:
        raise PolicyFileError(
            f"{path}: content hashes to {policy.id[:12]}, it says {str(said)[:12]}; "
            f"edit a policy with 'offramp policy set', which seals it again"
        )
    if signers:
        resolve("split_core.signing:check_signed", "checking a policy's signature", "sign")(
            policy.id, str(signature), signers, str(path)
        )
    return policy


def save(policy: PolicyFile, path: Path, signature: str = "") -> None:
    """Write atomically, as YAML with the id first; `signature` is of that id, see `split_core.signing`."""
    signed = {"signature": signature} if signature else {}
    document = {"id": policy.id, **signed, **policy.model_dump(mode="json")}
    # Flow style None: a list of numbers is one line, for people who read the file.
    write_atomically(path, yaml.safe_dump(document, sort_keys=False, width=110, default_flow_style=None).encode())


def differences(old: PolicyFile, new: PolicyFile) -> list[str]:
    """One line per changed value: `bandit.params.c: 0.1 -> 0.2`."""
    before, after = _flat(_legible(old)), _flat(_legible(new))
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _legible(policy: PolicyFile) -> dict[str, Any]:
    """The file as JSON types, histograms as one number per exit: nobody compares bins by eye."""
    document = policy.model_dump(mode="json")
    for name in ("confidence_histograms", "reached_histograms"):
        histograms = document["evidence"][name]
        document["evidence"][name] = [sha256_of(canonical_json(h))[:12] for h in histograms]
    return document


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {prefix: value}
    return {k: v for key, item in items for k, v in _flat(item, f"{prefix}.{key}" if prefix else key).items()}
