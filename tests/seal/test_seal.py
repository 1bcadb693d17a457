import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base import crockford
from nvr.base.errors import Damaged, Rejected
from nvr.seal import root, sign, suite

SECRET = bytes(range(32))
NONCE = bytes(12)


def sealed(suite_id: int, payload: bytes, associated: bytes) -> tuple[bytes, bytes]:
    out = bytearray(3 + len(payload) + suite.TAG_BYTES)
    cipher = suite.cipher_for(suite_id, SECRET)
    tag = suite.seal_into(cipher, NONCE, [payload[:7], payload[7:]], associated, out, 3)
    assert out[:3] == bytes(3)
    return bytes(out[3:]), tag


@given(st.sampled_from(sorted(suite.NAMES)), st.binary(max_size=300), st.binary(max_size=30))
def test_what_was_sealed_is_read_and_nothing_else(
    suite_id: int, payload: bytes, associated: bytes
) -> None:
    data, tag = sealed(suite_id, payload, associated)
    cipher = suite.cipher_for(suite_id, SECRET)
    assert len(data) == len(payload)
    assert suite.unseal(cipher, NONCE, data, tag, associated) == payload
    for wrong in (
        (NONCE, data, tag, associated + b"x"),
        (NONCE, data + b"x", tag, associated),
        (bytes([1]) + NONCE[1:], data, tag, associated),
        (NONCE, data, bytes(16), associated),
    ):
        with pytest.raises(Damaged, match=r"part\.damaged"):
            suite.unseal(cipher, *wrong)


def test_the_ciphers_are_the_standards() -> None:
    """NIST GCM test case 16 without the key's tail, RFC 8439 2.8.2."""
    key = bytes.fromhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it."
    )
    out = bytearray(len(text) + 16)
    tag = suite.seal_into(
        suite.cipher_for(suite.CHACHA20_POLY1305, key),
        bytes.fromhex("070000004041424344454647"),
        [text],
        bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
        out,
        0,
    )
    assert out[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert tag.hex() == "1ae10b594f09e26a7e902ecbd0600691"


def test_the_quickest_suite_is_the_one_that_took_least() -> None:
    for slow in suite.NAMES:
        took = [2.0 if each == slow else 1.0 for each in suite.NAMES for _ in range(5)]
        reads = itertools.accumulate(step for each in took for step in (0.0, each))
        assert suite.quickest(lambda reads=reads: next(reads)) != slow


def test_a_suite_nobody_knows_is_refused() -> None:
    with pytest.raises(Damaged, match="suite 3"):
        suite.cipher_for(3, SECRET)


def test_only_the_root_it_was_wrapped_for_unwraps_a_key_and_only_for_what_it_was() -> None:
    box, other = root.new(), root.new()
    wrapped = root.wrap(root.public_of(box), SECRET, b"gate")
    assert len(wrapped) == root.WRAPPED_BYTES
    assert root.unwrap(box, wrapped, b"gate") == SECRET
    assert root.unwrap(other, wrapped, b"gate") is None
    assert root.unwrap(box, wrapped, b"yard") is None
    assert root.unwrap(box, bytes(80), b"gate") is None


@given(st.binary(min_size=32, max_size=32))
def test_a_recovery_key_survives_paper(private: bytes) -> None:
    words = root.to_words(private)
    assert root.from_words(words.lower().replace("-", " ").replace("0", "o")) == private


@given(st.binary(min_size=32, max_size=32), st.integers(0, 69), st.sampled_from(crockford.ALPHABET))
def test_a_mistyped_letter_is_noticed(private: bytes, at: int, letter: str) -> None:
    words = root.to_words(private)
    at %= len(words)
    typed = words[:at] + letter + words[at + 1 :]
    if crockford.normal(typed) == crockford.normal(words):
        return
    with pytest.raises(Rejected, match=r"key\.mistyped"):
        root.from_words(typed)


@given(st.binary(max_size=40))
def test_base32_goes_both_ways(data: bytes) -> None:
    assert crockford.decode(crockford.encode(data), len(data)) == data
    assert crockford.decode(crockford.encode(data) + "U", len(data)) is None


def test_a_signature_is_of_one_place_and_one_key() -> None:
    signer = sign.Signer(sign.Signer.new())
    message = sign.head_message(bytes(16), "门/main", 7, bytes(32))
    signature = signer.sign(message)
    assert sign.valid(signer.public, signature, message)
    assert len(message) == len(b"nvr chain head 1\0") + 16 + 64 + 8 + 32
    for other in (
        sign.head_message(bytes(16), "门/main", 8, bytes(32)),
        sign.head_message(bytes(16), "门/sub", 7, bytes(32)),
    ):
        assert not sign.valid(signer.public, signature, other)
    assert not sign.valid(sign.Signer(sign.Signer.new()).public, signature, message)
    assert not sign.valid(b"short", signature, message)
