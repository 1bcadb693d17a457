"""The page's certificate: self-signed P-256, made at the first start and kept.

A box in the field has no public name, so no authority signs for it. Whoever claims it compares
the fingerprint on the console with the one the browser shows. A chain of the owner's own put in
place of the two files is used as it is.
"""

import datetime
import hashlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nvr.base.errors import Misconfigured, Unavailable

# A box without a battery starts in the past: its certificate must be good then already.
_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_TO = datetime.datetime(2049, 12, 31, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Tls:
    """What listeners need.

    Attributes:
        context: For the page and for RTSPS.
        fingerprint: SHA-256 of the certificate, pairs of hexadecimal digits, as browsers show it.
    """

    context: ssl.SSLContext
    fingerprint: str


def load_tls(directory: Path, names: Iterable[str] = ()) -> Tls:
    """Load ``tls.crt`` and ``tls.key`` from `directory`, made if there is no key.

    Args:
        directory: Where the two files are.
        names: Further names and addresses to put into a certificate that is made.

    Raises:
        Unavailable: ``state.unwritable``.
        Misconfigured: ``tls.unreadable``.
    """
    certificate, key = directory / "tls.crt", directory / "tls.key"
    if not key.exists():
        _make(certificate, key, names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
        der = certificate_der(directory)
    except (OSError, ValueError) as err:  # ssl.SSLError is an OSError
        raise Misconfigured("tls.unreadable", str(err), file=str(certificate)) from err
    digest = hashlib.sha256(der).hexdigest().upper()
    return Tls(context, ":".join(digest[i : i + 2] for i in range(0, 64, 2)))


def certificate_der(directory: Path) -> bytes:
    """Return the certificate the page shows, as it goes over the wire.

    Raises:
        OSError: There is none.
        ValueError: It is not one.
    """
    text = (directory / "tls.crt").read_text(encoding="ascii")
    return ssl.PEM_cert_to_DER_cert(_first(text))


def _first(pem: str) -> str:
    head, mark, _ = pem.partition("-----END CERTIFICATE-----")
    return head[head.find("-----BEGIN CERTIFICATE-----") :] + mark


def _make(certificate: Path, key: Path, names: Iterable[str]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    host = socket.gethostname()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"nvr {host}"[:64])])
    alternatives: dict[str, x509.GeneralName] = {}
    for name in ("localhost", host, f"{host}.local", "127.0.0.1", "::1", *names):
        alternatives[name] = _alternative(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_TO)
        .add_extension(x509.SubjectAlternativeName(list(alternatives.values())), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)
    half = key.with_name(key.name + ".new")
    _write(half, pem, 0o600)
    half.replace(key)  # last, and whole: a power cut before it means making both again


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii"))


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        raise Unavailable("state.unwritable", str(err), file=str(path)) from err
