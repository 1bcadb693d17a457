"""Nonces over time, without waiting."""

import pytest

from nvr.base.clock import FakeClock
from nvr.serve.rtsp_login import Denied, Doorkeeper
from nvr.wire.digest import Counter, Login
from nvr.wire.rtsp import Request
from tests.serve.test_rtsp_peers import SECRET, USER, access


class Door:
    def __init__(self):
        self.clock = FakeClock()
        self.keeper = Doorkeeper(access(), self.clock)
        self.counter = Counter()
        self.login = Login(USER, SECRET)
        self.known = ""

    def knock(self, method, counter=None):
        """Who came in, or the challenge's headers."""
        uri = "rtsp://box/cam/gate"
        proof = self.login.authorization(method, uri, "cnonce")
        headers = (("Authorization", proof),) if proof else ()
        request = Request(method, uri, headers)
        try:
            user = self.keeper.identify(request, counter or self.counter, "192.0.2.1", self.known)
        except Denied as err:
            self.login.challenged([value for _, value in err.headers])
            return [value for _, value in err.headers]
        self.known = user
        self.login.accepted()
        return user


def test_a_nonce_is_good_for_five_minutes():
    door = Door()
    assert "stale" not in door.knock("DESCRIBE")[0]
    door.clock.advance(299)
    assert door.knock("DESCRIBE") == USER
    door.clock.advance(2)
    assert all("stale=true" in offer for offer in door.knock("SETUP"))
    assert door.knock("SETUP") == USER


def test_keepalives_of_a_proven_connection_outlive_the_nonce():
    # ffmpeg sends them without reading the answer: a 401 would end the session after five minutes.
    door = Door()
    door.knock("PLAY")
    assert door.knock("PLAY") == USER
    door.clock.advance(3600)
    for method in ("GET_PARAMETER", "PAUSE", "TEARDOWN"):
        assert door.knock(method) == USER
    assert "stale=true" in door.knock("PLAY")[0]


def test_a_nonce_of_another_connection_is_no_use():
    door = Door()
    door.knock("DESCRIBE")
    door.known = ""
    assert isinstance(door.knock("DESCRIBE", Counter()), list)


@pytest.mark.parametrize("password", ["", "wrong", SECRET[::-1]])
def test_a_wrong_password_is_no_use(password):
    door = Door()
    door.login = Login(USER, password)
    door.knock("DESCRIBE")
    assert isinstance(door.knock("DESCRIBE"), list)
    door.login = Login("nobody", SECRET)
    door.knock("DESCRIBE")
    assert isinstance(door.knock("DESCRIBE"), list)
