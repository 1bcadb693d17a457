"""GB/T 28181 platforms that speak through a camera of a real box: broadcast, and talk."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from nvr.wire.gb_sdp import parse
from nvr.wire.sip import Request, Response, tag_of
from tests.app.box import RunningBox, running_box
from tests.app.gb import PATH, channel, registered, until
from tests.capture.test_talk import listening
from tests.serve.gb_platform import DEVICE, SERVER, Platform, items
from tests.serve.test_gb_voice import Mouth, comes_out, sdp

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.needs("gst-rtsp-server")]
GATE, DOME = "34020000001320000001", "34020000001320000002"
SPEAKER = "34020000001370000001"
CAMERA = '[[camera]]\nname = "gate"\nurl = "{}"\n'


class Site:
    """A box whose camera can be spoken through, and what comes out of that."""

    def __init__(self, box: RunningBox, heard: Path) -> None:
        self.box, self.heard = box, heard

    def registered(self, how: str, *rights: str) -> AbstractAsyncContextManager[Platform]:
        both = [
            channel(GATE, "gate", "live", *rights, speaker=SPEAKER),
            channel(DOME, "dome", "live", *rights),
        ]
        return registered(self.box, how, channels=both)

    @contextlib.asynccontextmanager
    async def mouth(self, how: str) -> AsyncIterator[Mouth]:
        self.heard.write_bytes(b"")  # what was said before
        mouth = Mouth(how)
        await mouth.listen()
        try:
            yield mouth
        finally:
            await mouth.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    directory: Path = tmp_path_factory.mktemp("site")
    heard = directory / "heard"
    async with (
        listening("pcma", heard) as url,
        running_box(directory, CAMERA.format(url)) as box,
    ):
        await box.until("gate", "state", "live", 60)
        yield Site(box, heard)


def broadcast(platform: Platform, number: int, target: str) -> str:
    """As the standard has it: there is no ``DeviceID``."""
    return platform.ask(
        "MESSAGE",
        f'<?xml version="1.0" encoding="GB2312"?><Notify><CmdType>Broadcast</CmdType><SN>{number}'
        f"</SN><SourceID>{SERVER}</SourceID><TargetID>{target}</TargetID></Notify>",
    )


async def result(platform: Platform, number: int, target: str) -> str:
    asked = broadcast(platform, number, target)
    assert (await platform.answer(asked)).status == 200
    (told,) = await platform.told("Broadcast", str(number))
    assert (told.kind, told.device) == ("Response", target)
    return told.said("Result")


def of(platform: Platform, method: str) -> list[Request]:
    return [one for one in platform.others if one.method == method]


@pytest.mark.parametrize(("how", "target"), [("udp", SPEAKER), ("tcp", GATE)])
async def test_a_broadcast_comes_out_of_the_camera(site: Site, how: str, target: str) -> None:
    async with site.registered(how, "relay") as platform, site.mouth(how) as mouth:
        platform.speak = lambda _: sdp("Play", mouth.port, how, "sendonly")
        assert await result(platform, 11, target) == "OK"
        await platform.until(lambda: of(platform, "ACK"))
        (invite,), (ack,) = of(platform, "INVITE"), of(platform, "ACK")
        assert invite.uri.startswith(f"sip:{SERVER}@")
        assert invite.get("Subject") == f"{SERVER}:1,{target}:1"
        offer = parse(invite.body.decode())
        assert (offer.kind, offer.direction, offer.transport) == ("audio", "recvonly", how)
        assert offer.payload_types == (8,)
        assert offer.format == "v/////a/1/8/1"
        assert (ack.call_id, tag_of(ack.get("To"))) == (invite.call_id, "p1")
        mouth.speak_to(offer.port)
        await comes_out(site.heard)
        await until(site.box, sessions=1)
        assert await result(platform, 12, GATE) == "ERROR", "it speaks already"
        told = await site.box.call("GET", "/api/audit")
        assert "gb Broadcast" in {one["action"] for one in told["rows"]}
        tag = tag_of(invite.get("From"))
        platform.ask("BYE", call_id=invite.call_id, tag=tag, own="another")
        assert (await platform.answer(invite.call_id)).status == 481
        platform.answers.clear()
        platform.ask("BYE", call_id=invite.call_id, tag=tag, own="p1")
        assert (await platform.answer(invite.call_id)).status == 200
        await until(site.box, sessions=0)


async def test_a_broadcast_ends_with_its_platform(site: Site) -> None:
    async with site.registered("udp", "relay") as platform, site.mouth("udp") as mouth:
        platform.speak = lambda _: sdp("Play", mouth.port, "udp", "sendonly")
        assert await result(platform, 21, GATE) == "OK"
        await platform.until(lambda: of(platform, "ACK"))
        await until(site.box, sessions=1)
        await site.box.call("DELETE", f"{PATH}/city")
        await platform.until(lambda: of(platform, "BYE"))
        assert of(platform, "BYE")[0].call_id == of(platform, "INVITE")[0].call_id


async def test_what_cannot_be_spoken_through_is_said_at_once(site: Site) -> None:
    async with site.registered("udp", "relay") as platform:
        assert await result(platform, 31, DOME) == "ERROR", "it has no loudspeaker"
        assert await result(platform, 32, DEVICE) == "ERROR", "it is no camera"
        assert await result(platform, 33, "34020000001320000999") == "ERROR", "it is nothing"
        assert not of(platform, "INVITE")
        assert (await talk(platform, 9, DOME)).status == 488
        assert await result(platform, 34, GATE) == "OK"  # and then it does not want to
        await platform.until(lambda: of(platform, "ACK"))
        await until(site.box, sessions=0)
    async with site.registered("udp") as platform:
        assert await result(platform, 35, GATE) == "ERROR", "there is no right"
        assert (await talk(platform, 9, GATE)).status == 403


async def talk(platform: Platform, port: int, camera: str) -> Response:
    offer = sdp("Talk", port, "udp", "sendrecv")
    subject = ("Subject", f"{camera}:1,{SERVER}:1")
    return await platform.answer(
        platform.ask("INVITE", offer, "application/sdp", subject, to=camera)
    )


async def test_a_loudspeaker_is_in_the_catalogue_below_its_camera(site: Site) -> None:
    async with site.registered("udp", "relay") as platform:
        platform.query("Catalog", 61)
        async with asyncio.timeout(60):
            while len(items(found := await platform.told("Catalog", "61"))) < 3:
                await asyncio.sleep(0.05)
        ids = items(found)
        assert sorted(ids) == [GATE, DOME, SPEAKER]
        at = ids.index(SPEAKER)
        assert items(found, "ParentID")[at] == GATE
        assert items(found, "Parental")[ids.index(GATE)] == "1"
    async with site.registered("udp") as platform:
        platform.query("Catalog", 62)
        (found,) = await platform.told("Catalog", "62")
        assert found.said("SumNum") == "2", "it may not speak"


async def test_a_talk_comes_out_of_the_camera(site: Site) -> None:
    async with site.registered("udp", "relay") as platform, site.mouth("udp") as mouth:
        answer = await talk(platform, mouth.port, GATE)
        assert answer.status == 200
        said = parse(answer.body.decode())
        assert (said.session, said.kind, said.direction) == ("Talk", "audio", "recvonly")
        tag = tag_of(answer.get("To"))
        platform.ask("ACK", to=GATE, call_id=answer.call_id, tag=tag)
        mouth.speak_to(said.port)
        await comes_out(site.heard)
        await until(site.box, sessions=1)
        platform.ask("BYE", to=GATE, call_id=answer.call_id, tag=tag)
        await until(site.box, sessions=0)
