"""Authorities of SPIFFE trust domains, and the certificates that they issue to workloads (X.509-SVID)."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
_NO_USAGE = dict.fromkeys(_USAGES, False)


class Authority:
    """One that signs; `chain` are those between it and the root that others trust."""

    def __init__(self, name: str, by: Authority | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._by = by
        usage = x509.KeyUsage(**{**_NO_USAGE, "key_cert_sign": True, "crl_sign": True})
        signer = by or self
        extensions = [(x509.BasicConstraints(True, None), True), (usage, True)]
        self.certificate = signer.sign(self.name, self.key.public_key(), extensions)

    @property
    def chain(self) -> list[x509.Certificate]:
        return [] if self._by is None else [self.certificate, *self._by.chain]

    def sign(
        self, name: x509.Name, public: ec.EllipticCurvePublicKey, extensions: Sequence[Any], seconds: float = 86_400
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(seconds=seconds))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def svid(
        self,
        file: Path,
        *uris: str,
        ca: bool = False,
        usage: dict[str, bool] | None = None,
        dns: str = "",
        seconds: float = 86_400,
    ) -> x509.Certificate:
        """Write a certificate for these URIs, with its chain and key, into the file."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names += [x509.DNSName(dns)] if dns else []
        extensions: list[Any] = [(x509.BasicConstraints(ca, None), True)]
        extensions.append((x509.KeyUsage(**{**_NO_USAGE, **(usage or {"digital_signature": True})}), True))
        extensions += [(x509.SubjectAlternativeName(names), False)] if names else []
        subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "US")])
        made = self.sign(subject, key.public_key(), extensions, seconds)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(b"".join(pem(one) for one in (made, *self.chain)) + secret)
        return made


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def client_context(authority: Path, certificate: Path | None = None) -> ssl.SSLContext:
    """What a client needs that trusts the authority and has this certificate."""
    context = ssl.create_default_context(cafile=authority)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context
