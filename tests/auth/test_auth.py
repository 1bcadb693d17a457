import asyncio
import sqlite3
from pathlib import Path

import pytest

from nvr.auth.claim import Claim, normal
from nvr.auth.machine import REALM, Machines
from nvr.auth.password import Hasher
from nvr.auth.session import ABSOLUTE_S, IDLE_S, MOST_PER_USER, Sessions
from nvr.auth.state import endpoint, open_state
from nvr.auth.throttle import Throttle, network_of
from nvr.auth.user import Users, rights_of
from nvr.base.clock import FakeClock
from nvr.base.errors import Damaged, Misconfigured, Rejected, Unavailable
from nvr.wire import digest

PASSWORD = "correct horse"


class Box:
    """Everything of `auth` on one database, with hashes that cost nothing."""

    def __init__(self, directory: Path, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.db = open_state(directory / "state.db")
        self.hasher = Hasher(memory_kib=64, passes=1)
        self.users = Users(self.db, self.hasher, self.clock)
        self.claim = Claim(self.db, self.users, self.clock)
        self.machines = Machines(self.db, self.clock)
        self.sessions = Sessions(self.clock)
        self.throttle = Throttle(self.clock)

    def close(self) -> None:
        self.hasher.close()
        self.db.close()


@pytest.fixture
def box(tmp_path):
    box = Box(tmp_path)
    yield box
    box.close()


def code(refused) -> str:
    return refused.value.code


async def test_the_code_on_the_console_makes_one_administrator_once(box):
    printed = box.claim.code()
    assert [len(group) for group in printed.split("-")] == [4, 4, 4]
    user = await box.claim.claim(printed.lower().replace("-", " "), "owner", PASSWORD)
    assert user.role == "admin"
    assert box.claim.claimed
    assert box.claim.code() == ""
    with pytest.raises(Rejected) as refused:
        await box.claim.claim(printed, "second", PASSWORD)
    assert code(refused) == "claim.done"
    assert [one.name for one in box.users.all()] == ["owner"]


async def test_two_claims_at_once_make_one_administrator(box):
    printed = box.claim.code()
    results = await asyncio.gather(
        *(box.claim.claim(printed, f"owner{i}", PASSWORD) for i in range(4)),
        return_exceptions=True,
    )
    assert len(box.users.all()) == 1
    assert sorted(type(r).__name__ for r in results) == ["Rejected"] * 3 + ["User"]


def test_letters_that_look_alike_are_one():
    assert normal("oil0-OIL1 abcd") == "0110" + "0111" + "ABCD"


async def test_the_code_stays_over_restarts_and_the_claim_too(tmp_path):
    first = Box(tmp_path)
    printed = first.claim.code()
    first.close()
    second = Box(tmp_path)
    assert second.claim.code() == printed
    await second.claim.claim(printed, "owner", PASSWORD)
    second.close()
    third = Box(tmp_path)
    assert third.claim.claimed
    assert third.users.find("owner")
    third.close()


async def test_ten_wrong_codes_pause_the_claim_even_for_the_right_one(tmp_path):
    box = Box(tmp_path)
    printed = box.claim.code()
    for _ in range(10):
        with pytest.raises(Rejected) as refused:
            await box.claim.claim("0000-0000-0000", "owner", PASSWORD)
        assert code(refused) == "claim.wrong"
    with pytest.raises(Rejected) as refused:
        await box.claim.claim(printed, "owner", PASSWORD)
    assert code(refused) == "claim.paused"
    box.close()
    box = Box(tmp_path, box.clock)  # a restart is no way around it
    with pytest.raises(Rejected) as refused:
        await box.claim.claim(printed, "owner", PASSWORD)
    assert code(refused) == "claim.paused"
    box.clock.advance(15 * 60)
    assert (await box.claim.claim(printed, "owner", PASSWORD)).name == "owner"
    box.close()


async def test_a_weak_password_does_not_use_the_code_up(box):
    printed = box.claim.code()
    for weak in ("short", "aaaaaaaaaa", "ownerowner", "ownerowner"):
        with pytest.raises(Rejected) as refused:
            await box.claim.claim(printed, "owner", weak)
        assert code(refused) == "password.weak"
    assert (await box.claim.claim(printed, "owner", PASSWORD)).role == "admin"


async def test_people_sign_in_with_what_looks_the_same(box):
    await box.users.add("张工", "operator", "ｐassword é1", rights_of({"*": ["live"]}))
    assert await box.users.check(" 张工 ", "password e\u03011") is not None
    assert await box.users.check("张工", "password e1") is None
    assert await box.users.check("nobody", "password é1") is None


async def test_old_hashes_are_made_anew_at_log_in(box):
    await box.users.add("owner", "admin", PASSWORD, rights_of({}))
    before = box.users.find("owner")
    stronger = Hasher(memory_kib=128, passes=1)
    users = Users(box.db, stronger, box.clock)
    assert await users.check("owner", PASSWORD)
    assert users.find("owner").password != before.password
    assert not stronger.outdated(Users(box.db, stronger, box.clock).find("owner").password)
    stronger.close()


async def test_the_default_hash_costs_what_s3_asks():
    hasher = Hasher()
    assert "m=19456,t=2,p=1" in await hasher.hash(PASSWORD)
    hasher.close()


async def test_nine_log_ins_wait_and_the_tenth_is_told_so(box):
    results = await asyncio.gather(
        *(box.hasher.verify(None, "x") for _ in range(20)), return_exceptions=True
    )
    assert results[:9] == [False] * 9
    assert all(isinstance(one, Unavailable) and one.code == "auth.busy" for one in results[9:])


async def test_the_last_administrator_cannot_go(box):
    await box.users.add("owner", "admin", PASSWORD, rights_of({}))
    for attempt in (
        lambda: box.users.remove("owner"),
        lambda: box.users.change("owner", role="viewer"),
    ):
        with pytest.raises(Rejected) as refused:
            await attempt()
        assert code(refused) == "user.last_admin"
    await box.users.add("other", "admin", PASSWORD, rights_of({}))
    await box.users.remove("owner")
    assert box.users.find("owner") is None
    assert Users(box.db, box.hasher, box.clock).find("owner") is None


async def test_sessions_end_idle_absolute_and_with_their_account(box):
    user = await box.users.add("owner", "admin", PASSWORD, rights_of({}))
    token, session = box.sessions.open(user, "192.0.2.1")
    assert len(token) >= 43
    box.clock.advance(IDLE_S - 1)
    assert box.sessions.find(token) is session
    box.clock.advance(IDLE_S)
    assert box.sessions.find(token) is None
    token, session = box.sessions.open(user, "192.0.2.1")
    opened_s = box.clock.now_s
    while box.clock.now_s - opened_s < ABSOLUTE_S - IDLE_S / 2:
        assert box.sessions.find(token) is session
        box.clock.advance(IDLE_S / 2)
    box.clock.advance(IDLE_S / 2)
    assert box.sessions.find(token) is None
    token, session = box.sessions.open(user, "192.0.2.1")
    box.sessions.close_user("owner")
    assert session.ended
    assert box.sessions.find(token) is None


async def test_too_many_sessions_end_the_oldest(box):
    user = await box.users.add("owner", "admin", PASSWORD, rights_of({}))
    tokens = [box.sessions.open(user, "192.0.2.1")[0] for _ in range(MOST_PER_USER + 1)]
    assert box.sessions.find(tokens[0]) is None
    assert all(box.sessions.find(token) for token in tokens[1:])


def test_ten_thousand_guesses_in_ten_minutes_see_few_answers():
    clock = FakeClock()
    throttle = Throttle(clock)
    seen = 0
    for _ in range(10_000):
        clock.advance(0.06)
        try:
            throttle.enter("owner", "198.51.100.7")
        except Rejected:
            continue
        seen += 1
    assert 5 < seen <= 100
    # The owner comes from elsewhere, and mistypes once.
    throttle.enter("owner", "192.0.2.1")
    throttle.right(throttle.enter("owner", "203.0.113.1"))


def test_guesses_sent_at_once_count_before_they_are_judged():
    throttle = Throttle(FakeClock())
    for _ in range(5):
        throttle.enter("owner", "198.51.100.7")
    with pytest.raises(Rejected) as refused:
        throttle.enter("somebody", "198.51.100.99")
    assert code(refused) == "auth.throttled"
    assert refused.value.context["retry_after_s"] == 1.0


def test_no_wait_is_longer_than_a_minute_and_a_right_answer_ends_it():
    clock = FakeClock()
    throttle = Throttle(clock)
    for _ in range(40):
        clock.advance(60)
        attempt = throttle.enter("owner", "198.51.100.7")
    clock.advance(60)
    attempt = throttle.enter("owner", "198.51.100.7")
    throttle.right(attempt)
    for _ in range(5):
        throttle.enter("owner", "198.51.100.7")


def test_many_sources_together_are_slowed_but_not_who_signed_in_before():
    clock = FakeClock()
    throttle = Throttle(clock)
    throttle.right(throttle.enter("owner", "192.0.2.1"))
    seen = 0
    for i in range(3000):
        clock.advance(0.2)
        try:
            throttle.enter("owner", f"10.{i // 250}.{i % 250}.1")
        except Rejected:
            continue
        seen += 1
    assert seen <= 50 + 600 / 2 + 10
    throttle.enter("owner", "192.0.2.77")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_a_source_is_a_network(address, network):
    assert network_of(address) == network


def test_a_machine_signs_in_with_digest_and_its_secret_is_nowhere(tmp_path):
    box = Box(tmp_path)
    machine, secret = box.machines.add("upstream", rights_of({"gate": ["live"]}))
    assert len(secret) == 32
    assert box.machines.ha1("upstream", "MD5") == machine.ha1_md5
    for algorithm in ("MD5", "SHA-256"):
        assert box.machines.ha1("upstream", algorithm) == digest.ha1(
            "upstream", REALM, secret, algorithm
        )
    assert box.machines.ha1("other", "MD5") is None
    assert box.machines.subject("upstream").may("gate") == {"live"}
    assert box.machines.subject("upstream").may("yard") == frozenset()
    gone: list[str] = []
    box.machines.subscribe(gone.append)
    assert Machines(box.db, box.clock).ha1("upstream", "MD5") == machine.ha1_md5
    box.close()
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    box = Box(tmp_path)
    box.machines.subscribe(gone.append)
    box.machines.remove("upstream")
    assert gone == ["upstream"]
    assert Machines(box.db, box.clock).all() == ()
    box.close()


def test_the_secret_is_kept_for_who_signs_in_with_tokens_of_onvif(tmp_path):
    box = Box(tmp_path)
    machine, secret = box.machines.add("upstream", rights_of({"gate": ["live"]}), tokens=True)
    box.machines.add("other", rights_of({"gate": ["live"]}))
    assert secret not in repr(machine)
    again = Machines(box.db, box.clock)
    assert again.secret("upstream") == secret
    assert again.secret("other") == again.secret("nobody") == ""
    box.close()


def test_a_state_file_of_an_older_release_is_taken_over(tmp_path):
    path = tmp_path / "state.db"
    db = open_state(path)
    db.executescript("ALTER TABLE machine DROP COLUMN secret; PRAGMA user_version=1;")
    db.execute("INSERT INTO machine VALUES ('old', 'a', 'b', '{}', 5)")
    db.close()
    db = open_state(path)
    (old,) = Machines(db, FakeClock()).all()
    assert (old.name, old.ha1_md5, old.made_us, old.secret) == ("old", "a", 5, "")
    known = endpoint(db)
    assert endpoint(db) == known
    db.close()


def test_a_state_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(Damaged):
        open_state(path)
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(Misconfigured):
        open_state(path)
    with pytest.raises(Unavailable):
        open_state(tmp_path / "no" / "such" / "state.db")
