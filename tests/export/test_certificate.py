"""Whether a camera's certificate hangs on a CA that a person trusts."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from nvr.export import certificate
from nvr.export.certificate import EXPIRED, TRUSTED, UNCHECKED, UNTRUSTED, Certificate, trust
from tests.export.signed import VECTORS

NOW = 1_800_000_000_000_000
YEAR = 365 * 86_400 * 1_000_000


class Maker:
    """Somebody with a key, who has a certificate and makes others'."""

    def __init__(
        self,
        name: str,
        by: "Maker | None" = None,
        *,
        ca: bool | None = None,
        limit: int | None = None,
        until_us: int = NOW + YEAR,
    ) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        signer = by or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.fromtimestamp((NOW - YEAR) / 1e6, UTC))
            .not_valid_after(datetime.fromtimestamp(until_us / 1e6, UTC))
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca, limit), critical=True)
        self.made: Certificate = builder.sign(signer.key, hashes.SHA256())

    def pem(self) -> bytes:
        return self.made.public_bytes(serialization.Encoding.PEM)


ROOT = Maker("root", ca=True)
MIDDLE = Maker("middle", ROOT, ca=True, limit=0)
CAMERA = Maker("camera", MIDDLE)


def test_a_chain_over_an_intermediate_is_trusted() -> None:
    chain = certificate.read(CAMERA.pem() + b"between\n" + MIDDLE.pem())
    assert [certificate.holder(one).subject for one in chain] == ["CN=camera", "CN=middle"]
    assert trust(chain, [], NOW) == UNCHECKED
    assert trust(chain, [ROOT.made], NOW) == TRUSTED
    assert trust(chain, [ROOT.made], None) == TRUSTED, "nobody knows when"
    assert trust(chain[:1], [ROOT.made], NOW) == UNTRUSTED, "the one between is missing"
    assert trust(chain[:1], [MIDDLE.made], NOW) == TRUSTED, "or trusted itself"
    assert trust(chain[:1], [CAMERA.made], NOW) == TRUSTED, "as may be the camera"
    assert trust(chain, [Maker("root", ca=True).made], NOW) == UNTRUSTED, "a name is no proof"


@pytest.mark.parametrize("how", [{"ca": False}, {"ca": None}, {"ca": True, "limit": 0}])
def test_who_may_not_issue_makes_nobody_trusted(how: dict[str, bool | int | None]) -> None:
    """Else each camera could make certificates of others."""
    first = Maker("first", ROOT, **how)  # type: ignore[arg-type]
    second = Maker("second", first, ca=True)
    camera = Maker("camera", second)
    chain = [camera.made, second.made, first.made]
    assert trust(chain, [ROOT.made], NOW) == UNTRUSTED


def test_what_was_not_valid_when_it_was_recorded_is_expired() -> None:
    old = Maker("old", ROOT, until_us=NOW - YEAR // 2)
    assert trust([old.made], [ROOT.made], NOW) == EXPIRED
    assert trust([old.made], [ROOT.made], NOW - YEAR * 3 // 4) == TRUSTED, "it was, then"
    assert trust([old.made], [ROOT.made], NOW - 2 * YEAR) == EXPIRED


def test_certificates_that_issue_each_other_end() -> None:
    one = Maker("one", ca=True)
    two = Maker("two", one, ca=True)
    again = Maker("one", two, ca=True)
    assert trust([two.made, one.made, again.made], [ROOT.made], NOW) == UNTRUSTED


def test_other_keys_sign_nothing() -> None:
    (found,) = certificate.read((VECTORS / "ca.pem").read_bytes())
    assert not certificate.right(found, b"1" * 32, b"no signature", "sha256")
    assert not certificate.right(found, b"1" * 31, b"no signature", "sha256")
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x\x1b[2J")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.fromtimestamp(NOW / 1e6, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW / 1e6 + 1, UTC))
        .sign(key, None)
    )
    assert not certificate.right(made, b"1" * 32, key.sign(b"1" * 32), "sha256")
    assert certificate.holder(made).subject.isprintable(), "it is shown on a terminal"
