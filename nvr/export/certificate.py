"""Certificates that a camera signs its video with: its key, and whose they are.

Only the signatures along the chain, the times and the right to issue are looked at: what a camera's
certificate may be used for is not settled between makers. A list of revoked ones is not asked for.

Source: RFC 5280 sections 4.1, 4.2.1.9; ONVIF Media Signing Specification 25.12.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from nvr.base.errors import Misconfigured

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_MOST = 8
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(),
}  # fmt: skip
TRUSTED, UNTRUSTED, EXPIRED, UNCHECKED = "trusted", "untrusted", "expired", "unchecked"
Certificate = x509.Certificate


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a certificate is.

    Attributes:
        subject: RFC 4514 name.
        issuer: RFC 4514 name.
        sha256: Hexadecimal fingerprint.
        from_us: UTC microseconds since which it is valid.
        to_us: Until when.
    """

    subject: str
    issuer: str
    sha256: str
    from_us: int
    to_us: int


def read(pem: bytes) -> list[Certificate]:
    """Return the certificates that can be read, in order."""
    found = []
    for block in _PEM.findall(pem)[:_MOST]:
        try:
            one = x509.load_pem_x509_certificate(block)
            one.public_key()
        except (ValueError, UnsupportedAlgorithm):
            continue
        found.append(one)
    return found


def anchors(path: Path) -> list[Certificate]:
    """Read the CAs that a person trusts.

    Raises:
        Misconfigured: ``camera.ca_unreadable``.
    """
    try:
        found = read(path.read_bytes())
    except OSError as err:
        raise Misconfigured("camera.ca_unreadable", f"{path}: {err.strerror}") from err
    if not found:
        raise Misconfigured("camera.ca_unreadable", f"{path} holds no certificate as PEM")
    return found


def right(one: Certificate, digest: bytes, signature: bytes, algorithm: str) -> bool:
    """Return whether a signature over a digest is of this certificate's key.

    ECDSA, or RSA-PSS with SHA-256; other keys sign nothing here.
    """
    key = one.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, digest, ec.ECDSA(utils.Prehashed(_DIGESTS[algorithm])))
        elif isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
            key.verify(signature, digest, pss, utils.Prehashed(hashes.SHA256()))
        else:
            return False
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def same_key(one: Certificate, other: Certificate) -> bool:
    """Return whether two certificates are of one key."""
    return one.public_key() == other.public_key()


def holder(one: Certificate) -> Holder:
    """Return whose it is."""
    return Holder(
        _name(one, issuer=False),
        _name(one, issuer=True),
        one.fingerprint(hashes.SHA256()).hex(),
        _us(one.not_valid_before_utc),
        _us(one.not_valid_after_utc),
    )


def _name(one: Certificate, *, issuer: bool) -> str:
    try:
        name = (one.issuer if issuer else one.subject).rfc4514_string()
    except ValueError:
        return ""
    return "".join(char if char.isprintable() else "?" for char in name)


def _us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def trust(chain: Sequence[Certificate], cas: Sequence[Certificate], at_us: int | None) -> str:
    """Return whether a chain ends in a CA that a person trusts.

    Args:
        chain: The camera's certificate first.
        cas: Of the person; none: `UNCHECKED`.
        at_us: UTC microseconds at which the certificates had to be valid; None if not known.
    """
    if not cas:
        return UNCHECKED
    path = [chain[0]]
    while path[-1] not in cas:
        issuer = next((ca for ca in cas if _issued(path[-1], ca)), None)
        if issuer is None:
            issuer = next(
                (one for one in chain[1:] if one not in path and _issued(path[-1], one)
                 and _may_issue(one, len(path) - 1)),
                None,
            )  # fmt: skip
        if issuer is None or len(path) == _MOST:
            return UNTRUSTED
        path.append(issuer)
    valid = (
        at_us is None or _us(one.not_valid_before_utc) <= at_us <= _us(one.not_valid_after_utc)
        for one in path
    )
    return TRUSTED if all(valid) else EXPIRED


def _issued(one: Certificate, by: Certificate) -> bool:
    try:
        one.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _may_issue(one: Certificate, below: int) -> bool:
    try:
        limits = one.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    return limits.ca and (limits.path_length is None or limits.path_length >= below)
