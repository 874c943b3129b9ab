"""A certificate authority of the test's own, with a certificate for 127.0.0.1 and one for a client."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def make_certificates(folder: Path, *, strict: bool = True) -> None:
    """Write ca.pem, server.pem with server.key, and client.pem with client.key.

    Without `strict` they lack the identifiers and usages that Python 3.13 demands.
    """
    ca_key, ca_name = ec.generate_private_key(ec.SECP256R1()), _name("test authority")
    authority: list[x509.ExtensionType] = [x509.BasicConstraints(True, None)]
    issued: list[x509.ExtensionType] = []
    if strict:
        authority += [x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), _SIGNS]
        issued = [x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())]
    ca = _certificate(ca_name, ca_key.public_key(), ca_name, ca_key, authority)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    for role in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        signed = _certificate(_name(role), key.public_key(), ca_name, ca_key, [address, *issued])
        (folder / f"{role}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        (folder / f"{role}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    extensions: Sequence[x509.ExtensionType],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, isinstance(extension, (x509.BasicConstraints, x509.KeyUsage)))
    return builder.sign(signer, hashes.SHA256())
