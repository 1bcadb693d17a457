import hashlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr._native import crc32c, sums

pieces = st.lists(st.binary(max_size=300), max_size=5)


def expected(message: list[bytes]) -> tuple[int, bytes]:
    whole = b"".join(message)
    return crc32c(whole), hashlib.sha256(whole).digest()


@given(st.lists(pieces, max_size=6))
def test_every_message_gets_its_own_sums_however_it_is_split(messages: list[list[bytes]]) -> None:
    assert sums(messages) == [expected(message) for message in messages]


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 3072, 6143, 1 << 20])
def test_lengths_around_a_block(size: int) -> None:
    data = bytes(index * 7 & 255 for index in range(size))
    long = bytes(70_000)
    for messages in ([[data]], [[data], [long]], [[long], [data], [data], [data, long]]):
        assert sums(messages) == [expected(message) for message in messages]


def test_long_crc_is_the_sum_of_short_ones() -> None:
    # Long runs are summed in three thirds of 1024 bytes; short ones never are.
    data = bytes(index * index & 255 for index in range(3 * 3072 + 100))
    whole = 0
    for at in range(0, len(data), 1000):
        whole = crc32c(data[at : at + 1000], whole)
    assert crc32c(data) == whole


def test_views_and_other_buffers_are_taken() -> None:
    data = bytearray(b"x" * 5000)
    assert sums([(memoryview(data)[8:], data)]) == [expected([bytes(data[8:]), bytes(data)])]


@pytest.mark.parametrize("wrong", [None, [None], [["text"]], [[b"x"], [b"y", 3]]])
def test_what_is_no_buffer_is_refused_and_nothing_stays_held(wrong: object) -> None:
    data = bytearray(10)
    with pytest.raises(TypeError):
        sums(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        sums([[data, None]])  # type: ignore[list-item]
    data.append(1)  # a buffer still held could not grow


def test_references_are_given_back() -> None:
    piece = b"x" * 100
    before = sys.getrefcount(piece)
    for _ in range(10):
        sums([[piece, piece], [piece]])
    assert sys.getrefcount(piece) == before
