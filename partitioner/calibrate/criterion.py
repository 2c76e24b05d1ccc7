"""Trained arrays of a criterion: read from where training put them, copied beside the policy that needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from split_core.criteria.arrays import BUNDLE, CRITERION, about, read_arrays
from split_core.errors import ConfigError, DataError
from split_core.files import sha256_of, write_atomically
from split_core.policy import ArraysSection
from split_core.tensors import Array


@dataclass(frozen=True, slots=True)
class CriterionArrays:
    """Arrays, and what a policy file says of them.

    Attributes:
        section: file name and hash.
        source: where they were read from.
        arrays: by name.
    """

    section: ArraysSection
    source: Path = field(compare=False)
    arrays: Mapping[str, Array] = field(compare=False, repr=False)

    def place_beside(self, policy: Path) -> None:
        """Copy them to where the policy file looks for them; by hash, so that two policies there keep their own.

        Raises:
            DataError: the file has changed since it was read.
        """
        content = self.source.read_bytes()
        if sha256_of(content) != self.section.sha256:
            raise DataError(f"{self.source}: was changed while this command ran; run it again")
        write_atomically(policy.parent / self.section.file, content)


def criterion_arrays(path: Path, criterion: str, bundle_id: str) -> CriterionArrays:
    """The arrays in a file of `offramp train --criterion`, or any `.npz` with the arrays that the criterion takes.

    Raises:
        DataError: the file cannot be read.
        PolicyFileError: it is no `.npz` of plain arrays.
        ConfigError: it says that it was trained for another criterion or another bundle.
    """
    try:
        sha256 = sha256_of(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"--criterion-arrays {path}: cannot be read ({error.strerror}); 'offramp train --criterion' writes them"
        ) from error
    arrays = read_arrays(path, sha256)
    for key, found, wanted in (
        (CRITERION, about(arrays, CRITERION), criterion),
        (BUNDLE, about(arrays, BUNDLE), bundle_id),
    ):
        if found not in ("", wanted):
            raise ConfigError(
                f"--criterion-arrays {path}: trained for {key} {found[:12]}, not {wanted[:12]}; train anew"
            )
    return CriterionArrays(ArraysSection(file=f"{criterion}-{sha256[:12]}.npz", sha256=sha256), path, arrays)
