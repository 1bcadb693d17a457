from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.annexb import split

nal = st.binary(min_size=1, max_size=40).filter(
    lambda b: b"\0\0\0" not in b and b"\0\0\1" not in b and b[-1] != 0 and b"\0\0\2" not in b
)


@given(st.lists(st.tuples(nal, st.sampled_from([b"\0\0\1", b"\0\0\0\1", b"\0\0\0\0\1"]))))
def test_a_byte_stream_splits_into_its_nal_units(units: list[tuple[bytes, bytes]]) -> None:
    assert split(b"".join(code + unit for unit, code in units)) == [unit for unit, _ in units]


@given(st.binary(max_size=200))
def test_any_bytes_split_without_losing_their_order(stream: bytes) -> None:
    at = 0
    for unit in split(stream):
        assert unit
        at = stream.index(unit, at) + len(unit)
