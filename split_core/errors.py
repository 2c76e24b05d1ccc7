"""Everything that can be wrong with somebody else's bytes, files or machines.

A bug of ours is a `ValueError` or `TypeError` and stays uncaught.  The rest is one tree; the commands
turn it into one line on standard error and the exit code of the class:

    SplitError                 3
    |-- ConfigError            2   a file or option that a person wrote
    |-- ArtefactError          3   a file that a machine wrote: bundle, policy, profile, release, trace
    |   |-- BundleError
    |   |   `-- CertificateError
    |   |-- PolicyFileError
    |   |-- ProfileError
    |   |-- ReleaseError
    |   `-- TraceError
    |-- ModelError             3   a network that cannot be imported or cut
    |-- DataError              3   labelled samples or frames that do not fit
    |-- MissingExtra           4   a library that is not installed
    |-- BackendError           4   an inference engine that refuses
    |-- LinkError              5   no worker, or a worker that refuses us
    |-- WireError              5   bytes that are no message
    |-- CodecError             5   a payload that is no tensor
    `-- SourceError            6   a camera or file that gives no frames

Exit code 0 is success, 1 a bug of ours (with its traceback), 130 an interrupt.
"""

from __future__ import annotations

import errno


def reason(error: Exception) -> str:
    """Why a library could not read a file, in one line for people: no error number, no path a second time."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    if "pickle" in str(error):  # numpy of any file that it does not know; what it says would advise to unpickle
        return "it is no archive of arrays"
    return str(getattr(error, "strerror", None) or " ".join(str(error).split()))


def of_disk(error: OSError) -> str:
    """What to say of a file or disk that refuses; empty where no file is named and the disk is not full."""
    if error.filename is None and error.errno != errno.ENOSPC:
        return ""
    where = f"{error.filename}: " if error.filename is not None else ""
    return (
        f"{where}cannot be used ({error.strerror}); expected a place that can be written, look at path, rights and room"
    )


class SplitError(Exception):
    """Base of all errors that are not our bug; `exit_code` is what a command ends with."""

    exit_code = 3


class ConfigError(SplitError):
    """A file or option that a person wrote is wrong."""

    exit_code = 2


class ArtefactError(SplitError):
    """A file that a machine wrote is damaged, incomplete or belongs to something else."""


class BundleError(ArtefactError):
    """A bundle is damaged, incomplete or not the one asked for."""


class CertificateError(BundleError):
    """A bundle has no certificate, or one that did not pass."""


class PolicyFileError(ArtefactError):
    """A policy file is damaged or belongs to another bundle."""


class ProfileError(ArtefactError):
    """A hardware profile is damaged or belongs to another bundle."""


class ReleaseError(ArtefactError):
    """A release is damaged, not signed, or its store is."""


class TraceError(ArtefactError):
    """A trace is damaged or has the wrong shape."""


class ModelError(SplitError):
    """A network cannot be read, exported or cut as asked."""


class DataError(SplitError):
    """Labelled samples or frames do not fit the network."""


class MissingExtra(SplitError):
    """A library is not installed; the message names the extra that brings it."""

    exit_code = 4


class BackendError(SplitError):
    """An inference engine refuses a model or an input."""

    exit_code = 4


class LinkError(SplitError):
    """There is no worker to talk to, or it refuses this device."""

    exit_code = 5


class WireError(SplitError):
    """Bytes from a peer are not a message of ours."""

    exit_code = 5


class CodecError(SplitError):
    """A payload cannot be encoded, or does not decode to the tensor it claims to be."""

    exit_code = 5


class SourceError(SplitError):
    """A camera, file or folder gives no frames."""

    exit_code = 6
