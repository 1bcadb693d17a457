"""The SEI of ONVIF Media Signing, on what ONVIF's reference implementation wrote."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire import media_signing
from nvr.wire.media_signing import BARE, FIRST, HASHED, UUID, Sei, kind, read
from nvr.wire.nal import nals
from tests.export.signed import NAMES, codec, units

SHA256, SHA512 = bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040203")


def seis(name: str) -> list[Sei]:
    found = (read(codec(name), nal) for unit in units(name) for nal in unit)
    return [one for one in found if one is not None]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_reference_wrote_is_read(name: str) -> None:
    found = [one for one in seis(name) if one.claim]
    claims = [one.claim for one in found if one.claim]
    assert [one.counter for one in claims] == list(range(1, len(claims) + 1))
    assert all(one.nals in {2, 3, 8, 9} for one in claims)
    assert not any(claims[0].link), "there was no group before"
    assert all(one.from_100ns < one.to_100ns for one in claims)
    sizes = {len(one.group_hash) for one in claims}
    assert sizes == {64 if name.startswith("sha512") else 32}
    for one in found:
        listed = 0 if name.startswith("low") else one.claim.nals * len(one.claim.link)
        assert len(one.hashes) == listed or name == "ended.h264"
    assert [one for one in seis(name) if one.certificates]
    assert sum(not one.signature for one in found) == (2 if name == "second.h264" else 0)


def built(
    *values: tuple[int, bytes], flags: int = 0, tail: bytes = b"", escaped: bool = False
) -> bytes:
    body = UUID + bytes((flags,))
    body += b"".join(struct.pack(">BH", tag, len(value)) + value for tag, value in values) + tail
    sizes = b"\xff" * (len(body) // 255) + bytes((len(body) % 255,))
    if escaped:
        body = body.replace(b"\0\0\0", b"\0\0\3\0").replace(b"\0\0\1", b"\0\0\3\1")
    return b"\x06\x05" + sizes + body + b"\x80"


def general(version: int = 2, size: int = 32) -> bytes:
    times = struct.pack(">q", 5) + (struct.pack(">q", 9) if version == 2 else b"")
    head = bytes((version, 25, 12, 3, 1)) + times + struct.pack(">IH", 7, 2)
    return head + b"\x11" * size + b"\x22" * size


def test_every_value_has_its_place() -> None:
    nal = built(
        (4, b"\1\x09" + SHA512 + b"\0\0\0"), (6, b"\1\0PEM"), (1, general()), (2, b"\1hh"),
        (7, b"\1x"), (3, b"\1\0\2ss\1\1"),
    )  # fmt: skip
    one = read("h264", nal)
    assert one is not None
    assert one.claim is not None
    assert (one.claim.partial, one.claim.from_100ns, one.claim.to_100ns) == (True, 5, 9)
    assert (one.claim.counter, one.claim.nals) == (7, 2)
    assert (one.claim.group_hash, one.claim.link) == (b"\x11" * 32, b"\x22" * 32)
    assert (one.hashes, one.signature, one.certificates) == (b"hh", b"ss", b"PEM")
    assert one.algorithm == "sha512"
    assert one.message == nal[: nal.index(b"\3\0\7\1\0\2ss")]


def test_an_oid_may_come_as_der_or_be_unknown() -> None:
    def algorithm(value: bytes) -> str:
        one = read("h264", built((4, value)))
        assert one is not None
        return one.algorithm

    assert algorithm(b"\1\x09" + SHA256 + b"\0\0\0") == "sha256"
    assert algorithm(b"\1\x0b\6\x09" + SHA256 + b"\0\0\0") == "sha256"
    assert algorithm(b"\1\x03abc\0\0\0") == "unknown"
    assert algorithm(b"\1") == ""


def test_version_1_has_no_end() -> None:
    one = read("h264", built((1, general(1))))
    assert one is not None
    assert one.claim is not None
    assert (one.claim.from_100ns, one.claim.to_100ns) == (5, 5)


@pytest.mark.parametrize(
    "value", [b"", general(3), general(2, 20), general()[:-1], b"\2", general(1)[:9]]
)
def test_a_claim_that_cannot_be_read_is_none(value: bytes) -> None:
    one = read("h264", built((1, value)))
    assert one is not None
    assert one.claim is None


def test_nothing_after_the_signature_counts() -> None:
    """It is not signed, so somebody else may have put it there."""
    other = struct.pack(">BH", 1, len(general())) + general().replace(b"\x11", b"\x99")
    one = read("h264", built((1, general()), (3, b"\1\0\1s"), tail=other))
    assert one is not None
    assert one.claim is not None
    assert one.claim.group_hash == b"\x11" * 32


def test_an_sei_of_certificates_claims_nothing() -> None:
    one = read("h264", built((6, b"\1\0PEM"), (1, general()), (3, b"\1\0\1s"), flags=0x80))
    assert one is not None
    assert (one.claim, one.certificates, one.signature) == (None, b"PEM", b"s")


@pytest.mark.parametrize("values", [((1, general()), (3, b"\1\0\1s")), ((1, general()),)])
def test_emulation_prevention_is_hashed_only_if_it_says_so(
    values: tuple[tuple[int, bytes], ...],
) -> None:
    plain, escaped = built(*values), built(*values, escaped=True)
    end = plain.index(b"\3\0\4") if len(values) == 2 else len(plain)
    before, after = read("h264", plain), read("h264", escaped)
    assert before is not None
    assert after is not None
    assert len(escaped) > len(plain)
    assert before.message == plain[:end]
    assert after == before
    marked = read("h264", built(*values, escaped=True, flags=0x40))
    assert marked is not None
    assert marked.claim == before.claim
    whole = built(*values, escaped=True, flags=0x40)
    assert marked.message == whole[: whole.index(b"\3\0\4")] if len(values) == 2 else whole


@pytest.mark.parametrize(
    "nal",
    [
        b"", b"\x06", b"\x06\x05", b"\x06\x05\xff\xff", b"\x06\x01" + UUID, b"\x41\x05\x10" + UUID,
        b"\x06\x05\x10" + UUID[:-1] + b"\0", b"\x06\x05\x10" + UUID[:9],
    ],
)  # fmt: skip
def test_other_units_are_none(nal: bytes) -> None:
    assert read("h264", nal) is None


@given(st.sampled_from(NAMES), st.data())
def test_cut_off_anywhere_never_raises(name: str, data: st.DataObject) -> None:
    unit = data.draw(st.sampled_from(units(name)))
    nal = data.draw(st.sampled_from(unit))
    read(codec(name), nal[: data.draw(st.integers(0, len(nal)))])


@given(st.binary(max_size=300), st.sampled_from([0, 0x40, 0x80]), st.integers(0, 600))
def test_garbage_never_raises(body: bytes, flags: int, size: int) -> None:
    sizes = b"\xff" * (size // 255) + bytes((size % 255,))
    one = read("h265", b"\x4e\x01\x05" + sizes + UUID + bytes((flags,)) + body)
    assert one is not None
    assert one.claim is None or len(one.claim.link) in {32, 48, 64}


@pytest.mark.parametrize(
    ("name", "nal", "expected"),
    [
        ("h264", b"\x65\x88", FIRST), ("h264", b"\x65\x08", HASHED), ("h264", b"\x41\x9a", HASHED),
        ("h264", b"\x42\x9a", BARE), ("h264", b"\x67\x42", 0), ("h264", b"\x65", 0),
        ("h265", b"\x26\x01\xaf", FIRST), ("h265", b"\x26\x01\x2f", HASHED),
        ("h265", b"\x02\x01\xd0", HASHED), ("h265", b"\x12\x01\xd0", BARE),
        ("h265", b"\x40\x01\x0c", 0), ("h265", b"\x26\x01", 0),
    ],
)  # fmt: skip
def test_which_units_are_hashed(name: str, nal: bytes, expected: int) -> None:
    assert kind(name, nal) == expected


def test_a_sample_falls_into_its_units() -> None:
    assert list(nals(b"\0\0\0\2ab\0\0\0\0\0\0\0\1c")) == [b"ab", b"c"]
    assert list(nals(b"\0\2ab\0\1c", 2)) == [b"ab", b"c"]
    assert list(nals(b"\0\0\0\5ab")) == [b"ab"]
    assert list(nals(b"\0\0\0")) == []
    assert media_signing.hashed(b"ab\0\0") == b"ab"
