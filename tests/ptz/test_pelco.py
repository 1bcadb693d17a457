import pytest

from nvr.ptz.pelco import Pelco, frame_s
from nvr.ptz.schedule import NEUTRAL, Motion
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
    assert Pelco().aux(1, on=True).hex(" ") == "ff 01 00 09 00 01 0b"
    assert Pelco().aux(1, on=False).hex(" ") == "ff 01 00 0b 00 01 0d"


def test_frame_time() -> None:
    assert frame_s(2400) == pytest.approx(0.0333, abs=1e-4)
