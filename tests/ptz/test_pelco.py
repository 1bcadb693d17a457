import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.ptz.pelco import Aux, Pelco, frame_s
from nvr.ptz.schedule import NEUTRAL, Motion
from nvr.wire import pelco_d, pelco_p
from nvr.wire.pelco_p import Dialect


def test_turbo_only_where_asked_and_only_for_pan() -> None:
    full = Motion(pan=-1, tilt=1)
    assert Pelco().encode(full).hex() == "ff01000c3f3f8b"
    assert Pelco(turbo=0x40).encode(full).hex() == "ff01000c403f8c"
    assert Pelco(turbo=0xFF).encode(Motion(pan=1)).hex() == "ff010002ff0002"
    assert Pelco(turbo=0xFF).encode(Motion(pan=0.9)).hex() == Pelco().encode(Motion(pan=0.9)).hex()


def test_pelco_p_by_its_dialect() -> None:
    head = Pelco(protocol="pelco-p")
    assert head.encode(NEUTRAL).hex(" ") == "a0 00 00 00 00 00 af 0f"
    assert head.preset("call", 1).hex(" ") == "a0 00 00 07 00 01 af 09"
    other = Pelco(protocol="pelco-p", dialect=Dialect(address_base=1))
    assert other.encode(NEUTRAL)[1] == 1


def test_aux() -> None:
    d = Pelco().auxiliary(Aux(1, 60.0))
    assert d.on.hex(" ") == "ff 01 00 09 00 01 0b"
    assert d.off.hex(" ") == "ff 01 00 0b 00 01 0d"
    assert Pelco().auxiliary(Aux(5, 60.0)).off.hex(" ") == "ff 01 00 0b 00 05 11"
    p = Pelco(protocol="pelco-p").auxiliary(Aux(1, 60.0))
    assert p.on.hex(" ") == "a0 00 00 09 00 01 af 07"
    assert p.off.hex(" ") == "a0 00 00 0b 00 01 af 05"


def test_turbo_in_pelco_p() -> None:
    head = Pelco(protocol="pelco-p", turbo=0x40)
    assert head.encode(Motion(pan=-1, tilt=1)).hex(" ") == "a0 00 00 0c 40 3f af 7c"
    assert head.encode(Motion(pan=0.9)).hex(" ") == "a0 00 00 02 39 00 af 34"


@given(number=st.integers(1, 8), address=st.integers(1, 32), on=st.booleans())
def test_every_auxiliary_is_understood_at_the_other_end(
    number: int, address: int, on: bool
) -> None:
    for protocol, decoder in (("pelco-d", pelco_d.Decoder()), ("pelco-p", pelco_p.Decoder())):
        frames = Pelco(protocol, address).auxiliary(Aux(number, 1.0))
        op = pelco_d.Op.SET_AUX if on else pelco_d.Op.CLEAR_AUX
        assert decoder.feed(frames.on if on else frames.off) == [
            pelco_d.Frame(address, op, 0, number)
        ]


def test_frame_time() -> None:
    assert frame_s(2400) == pytest.approx(0.0333, abs=1e-4)
