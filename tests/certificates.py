"""A certificate authority of a test's own."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest


class Authority:
    """Signs for this machine.

    Attributes:
        ca: PEM file of who signs.
        cert, key: PEM files of a server at 127.0.0.1.
    """

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("cryptography")
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        def signed(name: str, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> x509.Certificate:
            now = datetime.datetime.now(datetime.timezone.utc)
            named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
            builder = x509.CertificateBuilder(issuer, named, key.public_key(), x509.random_serial_number())
            builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
            builder = builder.not_valid_after(now + datetime.timedelta(days=1))
            for extension in extensions:
                builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            return builder.sign(own, hashes.SHA256())

        def written(name: str, content: bytes) -> str:
            (folder / name).write_bytes(content)
            return str(folder / name)

        own, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        identifier = x509.SubjectKeyIdentifier.from_public_key(own.public_key())
        known_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key())
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        root = signed("a test", own, x509.BasicConstraints(True, None), identifier, usage)
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        server = signed("here", theirs, here, known_by)
        self.ca, self.cert = written("ca.pem", root.public_bytes(pem)), written("cert.pem", server.public_bytes(pem))
        self.key = written("key.pem", theirs.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))

    def server(self) -> ssl.SSLContext:
        """For who listens."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context
