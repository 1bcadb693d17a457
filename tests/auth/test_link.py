"""Links: whom they stand for, and that nobody else can make one."""

import pytest

from nvr.auth.link import Links, link_key
from nvr.auth.machine import Machines
from nvr.auth.password import Hasher
from nvr.auth.state import open_state
from nvr.auth.user import Users, rights_of
from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected

SPAN = (1_000, 2_000)


@pytest.fixture
async def doors(tmp_path):
    db, clock = open_state(tmp_path / "state.db"), FakeClock()
    hasher = Hasher(memory_kib=64, passes=1)
    users, machines = Users(db, hasher, clock), Machines(db, clock)
    rights = rights_of({"gate": ["live", "playback", "export", "unmasked", "ptz"]})
    await users.add("anna", "operator", "correct horse", rights)
    machines.add("wall", rights_of({"*": ["live"]}))
    links = Links(link_key(db), users, machines, clock)
    yield links, users, machines, clock, db
    hasher.close()
    db.close()


def refused(links, text, camera="gate", span=None, *, live=True):
    with pytest.raises(Rejected) as caught:
        links.read(text, camera, span, live=live)
    return caught.value.code == "link.invalid"


async def test_a_link_is_its_maker_for_one_camera_without_what_masks_hide(doors):
    links, users, machines, _, _ = doors
    text = links.make(users.find("anna").subject(), "gate", 60)
    found = links.read(text, "gate", None, live=True)
    assert (found.kind, found.name) == ("machine", "anna")
    assert found.may("gate") == {"live", "playback", "export"}
    assert found.may("yard") == frozenset()
    assert refused(links, text, "yard")
    assert refused(links, text, live=False)
    wall = links.make(machines.subject("wall"), "yard", 60)
    assert links.read(wall, "yard", None, live=True).may("yard") == {"live"}


async def test_a_link_ends_with_its_time_its_right_and_its_account(doors):
    links, users, _, clock, _ = doors
    text = links.make(users.find("anna").subject(), "gate", 60)
    await users.change("anna", role="viewer", rights=rights_of({"gate": ["playback"]}))
    assert links.read(text, "gate", None, live=True).may("gate") == {"playback"}
    await clock.sleep(59.9)
    links.read(text, "gate", None, live=True)
    await clock.sleep(0.2)
    assert refused(links, text)
    again = links.make(users.find("anna").subject(), "gate", 60)
    await users.remove("anna")
    assert refused(links, again)
    await users.add("anna", "operator", "correct horse", rights_of({"gate": ["live"]}))
    assert refused(links, again), "another account of the same name"


async def test_a_link_to_recordings_is_to_a_span(doors):
    links, users, _, _, _ = doors
    text = links.make(users.find("anna").subject(), "gate", 60, SPAN)
    assert links.read(text, "gate", (1_200, 2_000), live=False).recorded == SPAN
    assert refused(links, text, span=(999, 2_000), live=False)
    assert refused(links, text)


async def test_nobody_else_makes_links(doors):
    links, users, machines, clock, db = doors
    subject = users.find("anna").subject()
    text = links.make(subject, "gate", 60)
    head, tail = text.split(".")
    other = Links(bytes(32), users, machines, clock)
    forged = [
        "", ".", head, f"{head}.", f"{head}.{tail[:-2]}", f"{head}.{'A' * len(tail)}",
        f"{head[:-4]}AAAA.{tail}", "é.é", other.make(subject, "gate", 60), "x" * 5000, f"{text}=",
    ]  # fmt: skip
    assert all(refused(links, one) for one in forged)
    assert link_key(db) == link_key(db), "links outlive a restart"
    for seconds in (0, -1, 31 * 86_400):
        with pytest.raises(Rejected):
            links.make(subject, "gate", seconds)
