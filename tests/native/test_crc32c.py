from hypothesis import given
from hypothesis import strategies as st

from nvr._native import crc32c


def test_the_vectors_of_rfc_3720() -> None:
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


@given(st.binary(max_size=9000), st.integers(0, 9000))
def test_splitting_changes_nothing(data: bytes, cut: int) -> None:
    assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)
