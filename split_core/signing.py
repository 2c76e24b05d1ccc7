"""Signatures of policy files and releases: Ed25519, by the library `cryptography` (the extra `sign`).

The id of either is the SHA-256 of its content and is checked whenever it is read, so the id is what is signed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from split_core.errors import ArtefactError, ConfigError, PolicyFileError


def make_signing_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Make `<name>.sign` (public, hex) and `<name>.sign_secret` (PKCS 8, PEM, mode 600); returns both paths.

    Raises:
        ConfigError: they are there already, or the folder cannot be written.
    """
    public, secret = folder / f"{name}.sign", folder / f"{name}.sign_secret"
    key = Ed25519PrivateKey.generate()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if public.exists():
            raise FileExistsError
        # Readable by nobody else, not even for a moment; refuses a file that is there.
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(_pem(key))
        public.write_text(_hex(key.public_key()) + "\n", encoding="ascii")
    except FileExistsError as error:
        raise ConfigError(f"{public}: exists already, or its secret does; delete both to make a new pair") from error
    except OSError as error:
        raise ConfigError(f"{folder}: keys cannot be written ({error.strerror})") from error
    return public, secret


def sign(content_id: str, secret: Path, noun: str = "policy") -> str:
    """The signature of what has this id, as `<public key> <signature>` in hex.

    Args:
        content_id: hex.
        secret: file of the key.
        noun: what is signed: "policy" or "release".

    Raises:
        ConfigError: no such file, or no Ed25519 key in it.
    """
    try:
        key = serialization.load_pem_private_key(secret.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{secret}: cannot be read ({error.strerror}); expected NAME.sign_secret") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # its words are about PEM, and many
        raise ConfigError(f"{secret}: no signing key; make one with 'offramp keys --signing'") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{secret}: expected an Ed25519 key; make one with 'offramp keys --signing'")
    return f"{_hex(key.public_key())} {key.sign(_message(noun, content_id)).hex()}"


def check_signed(
    content_id: str,
    signature: str,
    signers: Sequence[str],
    where: str,
    noun: str = "policy",
    error_of: type[ArtefactError] = PolicyFileError,
) -> None:
    """Refuse what none of `signers` (public keys in hex) has signed.

    Raises:
        ArtefactError: unsigned, signed by somebody else, or the signature is of something else.
        ConfigError: a key of `signers` is none.
    """
    public, _, value = signature.partition(" ")
    if not value:
        how = "'offramp policy sign'" if noun == "policy" else "'offramp release add --key'"
        raise error_of(f"{where}: not signed, and only signed ones are taken; {how} does it")
    if public.lower() not in {key.strip().lower() for key in signers}:
        raise error_of(f"{where}: signed by {public[:12]}, which is none of the {len(signers)} keys trusted here")
    try:
        _public(public).verify(bytes.fromhex(value), _message(noun, content_id))
    except (InvalidSignature, ValueError) as error:
        raise error_of(f"{where}: the signature is not of this content; sign it again") from error


def _message(noun: str, content_id: str) -> bytes:
    """Says what is signed: a signature made for anything else is none for this."""
    return f"offramp {noun} 1:{content_id}".encode()


def _public(text: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except ValueError as error:
        raise ConfigError(f"trusted keys: {text[:12]!r} is no Ed25519 public key (64 hex digits)") from error


def _hex(key: Ed25519PublicKey) -> str:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
