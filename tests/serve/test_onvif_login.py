"""Who asks over ONVIF: each answer is good once, and only while it is fresh."""

import base64
import hashlib
import secrets

import pytest

from nvr.auth.machine import Machines
from nvr.auth.state import open_state
from nvr.auth.throttle import FREE, Throttle
from nvr.auth.user import rights_of
from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected
from nvr.serve.onvif import login as logins
from nvr.serve.onvif.login import Credential, Denied, Login
from nvr.wire.digest import NONCE_LIFE_S
from nvr.wire.digest import Login as Client
from nvr.wire.soap import Token, instant

URI = "/onvif/device_service"


class Door:
    def __init__(self, directory) -> None:
        self.clock = FakeClock()
        self.db = open_state(directory / "state.db")
        self.machines = Machines(self.db, self.clock)
        rights = rights_of({"*": ["live"]})
        _, self.secret = self.machines.add("host", rights, tokens=True)
        _, self.digest_secret = self.machines.add("digest", rights)
        self.login = Login(self.machines, Throttle(self.clock), self.clock, 60.0)

    def token(self, user="host", secret=None, off_s=0.0, nonce=None, created=None) -> Token:
        created = created or instant(self.clock.wall_us() + round(off_s * 1e6))
        nonce = nonce or secrets.token_bytes(16)
        known = self.secret if secret is None else secret
        made = hashlib.sha1(nonce + created.encode() + known.encode()).digest()
        return Token(user, made, nonce, created)

    def ask(self, token=None, header="", address="192.0.2.1", method="POST"):
        return self.login.identify(Credential(method, URI, header, token, address))

    def challenged(self) -> Denied:
        with pytest.raises(Denied) as refused:
            self.ask()
        return refused.value

    def client(self, user="digest", secret=None) -> Client:
        client = Client(user, secret or self.digest_secret)
        assert client.challenged(self.challenged().challenges)
        return client


@pytest.fixture
def door(tmp_path):
    door = Door(tmp_path)
    yield door
    door.db.close()


def test_a_token_is_taken_once(door) -> None:
    token = door.token()
    subject, how = door.ask(token)
    assert (subject.name, how) == ("host", "token")
    with pytest.raises(Denied, match="used before"):
        door.ask(token)
    door.clock.advance(59)
    with pytest.raises(Denied, match="used before"):
        door.ask(token)
    door.clock.advance(3)
    with pytest.raises(Denied, match="off the box's clock"):
        door.ask(token)


def test_a_token_from_ahead_is_remembered_for_as_long_as_it_would_be_taken(door) -> None:
    token = door.token(off_s=59)
    door.ask(token)
    door.clock.advance(115)
    with pytest.raises(Denied, match="used before"):
        door.ask(token)


@pytest.mark.parametrize("off_s", [-61, 61])
def test_a_token_of_another_time_is_none_and_no_guess_either(door, off_s) -> None:
    for _ in range(FREE + 2):
        with pytest.raises(Denied, match="off the box's clock"):
            door.ask(door.token(off_s=off_s))
    assert door.ask(door.token())[1] == "token"


def test_a_token_whose_time_is_none_is_none(door) -> None:
    with pytest.raises(Denied, match="time is none"):
        door.ask(door.token(created="soon"))


def test_only_credentials_made_for_tokens_sign_in_by_one(door) -> None:
    with pytest.raises(Denied):
        door.ask(door.token("digest", door.digest_secret))
    with pytest.raises(Denied):
        door.ask(door.token("digest", ""))  # the secret that is not kept is no empty one
    with pytest.raises(Denied):
        door.ask(door.token("nobody", ""))


def test_guessing_is_slowed_down_and_the_right_one_is_not_looked_at_then(door) -> None:
    for _ in range(FREE):
        with pytest.raises(Denied):
            door.ask(door.token(secret="guess"))
    with pytest.raises(Rejected, match=r"auth\.throttled"):
        door.ask(door.token())


def test_digest_is_taken_once_on_whichever_connection(door) -> None:
    client = door.client()
    first = client.authorization("POST", URI, "c")
    assert door.ask(header=first)[1] == "digest"
    with pytest.raises(Denied) as again:
        door.ask(header=first)
    assert "stale=true" in again.value.challenges[0]
    second = client.authorization("POST", URI, "c")
    third = client.authorization("POST", URI, "c")
    door.ask(header=third, address="192.0.2.9")  # in another order, too
    door.ask(header=second)
    with pytest.raises(Denied):
        door.ask(header=client.authorization("GET", URI, "c"))  # of another method


def test_digest_wants_a_nonce_of_ours_that_is_fresh(door) -> None:
    client = door.client()
    header = client.authorization("POST", URI, "c")
    door.clock.advance(NONCE_LIFE_S + 1)
    with pytest.raises(Denied) as late:
        door.ask(header=header)
    assert "stale=true" in late.value.challenges[0]
    made_up = Client("digest", door.digest_secret)
    made_up.challenged([c.replace('nonce="', 'nonce="f') for c in door.challenged().challenges])
    with pytest.raises(Denied) as foreign:
        door.ask(header=made_up.authorization("POST", URI, "c"))
    assert "stale" not in foreign.value.challenges[0]


def test_sha_256_is_offered_first_and_md5_last(door) -> None:
    first, last = door.challenged().challenges
    assert ("SHA-256" in first, "MD5" in last) == (True, True)
    client = Client("digest", door.digest_secret)
    client.challenged([last])
    assert door.ask(header=client.authorization("POST", URI, "c"))[0].name == "digest"


def test_what_is_remembered_has_an_end_and_nothing_is_taken_twice_for_that(door, monkeypatch):
    monkeypatch.setattr(logins, "MOST_KEPT", 3)
    first = door.token()
    for token in (first, door.token(), door.token()):
        door.ask(token)
    with pytest.raises(Denied):
        door.ask(door.token())  # full
    with pytest.raises(Denied):
        door.ask(first)
    door.clock.advance(62)
    assert door.ask(door.token())[1] == "token"


def test_a_revoked_credential_signs_in_no_more(door) -> None:
    door.machines.remove("host")
    with pytest.raises(Denied):
        door.ask(door.token())
    client = door.client("digest")
    door.machines.remove("digest")
    with pytest.raises(Denied):
        door.ask(header=client.authorization("POST", URI, "c"))


def test_a_header_that_is_none_gets_a_challenge(door) -> None:
    for header in ("Basic " + base64.b64encode(b"host:x").decode(), "Digest", "Digest a=b", "\0"):
        with pytest.raises(Denied) as refused:
            door.ask(header=header)
        assert len(refused.value.challenges) == 2
