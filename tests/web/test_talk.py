"""Speaking through a camera over the page's WebSocket: who may, for how long, and what is noted."""

import asyncio
import contextlib

import aiohttp
import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.media.talk import Talker
from tests.web import box as boxes


class Voice:
    codec = "pcma"

    def __init__(self):
        self.heard = []
        self.gone = asyncio.Event()

    async def say(self, samples):
        if samples == b"refuse":
            raise Rejected("talk.too_much", "too much")
        self.heard.append(samples)

    async def lasts(self):
        await self.gone.wait()
        raise Unavailable("camera.lost", "it went")


class Talks:
    def __init__(self):
        self.voice = None
        self.now = None

    async def takes(self, camera):
        return camera == "gate"

    def talker(self, _camera):
        return self.now

    @contextlib.asynccontextmanager
    async def speak(self, _camera, who, source):
        if self.now:
            raise Rejected("talk.busy", "busy", by=self.now.name)
        self.now, self.voice = Talker(who, source, 1), Voice()
        try:
            yield self.voice
        finally:
            self.now = None


@pytest.fixture
async def speaking(tmp_path):
    talks = Talks()
    async with boxes.running(tmp_path, talks=talks) as box:
        for name in ("gate", "yard"):
            box.parts.cameras.put(name, name.title())
        await box.parts.claim.claim(box.parts.claim.code(), "owner", boxes.PASSWORD)
        await box.user("op", "operator", {"gate": ["live", "relay"], "yard": ["live"]})
        yield box, talks


async def until(true):
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.02)


async def noted(client):
    rows = (await client.ask("GET", "/api/audit"))[1]["rows"]
    talk = ("ws /ws/talk/{camera}", "talk.ended")
    return [(r["who"], r["action"], r["target"], r["outcome"]) for r in rows if r["action"] in talk]


async def test_what_is_said_reaches_the_camera_until_the_page_lets_go(speaking):
    box, talks = speaking
    async with box.client() as client, box.client() as owner:
        await client.log_in("op")
        await owner.log_in("owner")
        assert (await client.ask("GET", "/api/camera/gate/talk"))[1] == {
            "available": True,
            "by": "",
        }
        socket = await client.socket("/ws/talk/gate")
        assert await socket.receive_json(timeout=5) == {"type": "ready", "codec": "pcma"}
        for piece in (b"a" * 320, b"b" * 320):
            await socket.send_bytes(piece)
        await until(lambda: len(talks.voice.heard) == 2)
        _, told, _ = await owner.ask("GET", "/api/camera/gate/talk")
        assert told == {"available": True, "by": "op"}
        second = await owner.socket("/ws/talk/gate")
        busy = await second.receive_json(timeout=5)
        assert (busy["type"], busy["code"], busy["by"]) == ("error", "talk.busy", "op")
        assert (await second.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        assert talks.now.name == "op", "whoever came first goes on"
        await socket.close()
        await until(lambda: talks.now is None)
        rows = await noted(owner)
    assert ("op", "ws /ws/talk/{camera}", "gate", "ok") in rows
    assert ("op", "talk.ended", "gate", "ok") in rows
    assert ("owner", "talk.ended", "gate", "refused") in rows


async def test_a_page_that_sends_nothing_has_let_go(speaking):
    box, talks = speaking
    async with box.client() as client:
        await client.log_in("op")
        socket = await client.socket("/ws/talk/gate")
        await socket.receive_json(timeout=5)
        await socket.send_bytes(b"a" * 320)
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        await until(lambda: talks.now is None)


async def test_a_camera_that_goes_is_said_and_a_page_that_floods_is_let_go(speaking):
    box, talks = speaking
    async with box.client() as client:
        await client.log_in("op")
        for sent, code in ((b"refuse", "talk.too_much"), (b"more", "camera.lost")):
            socket = await client.socket("/ws/talk/gate")
            await socket.receive_json(timeout=5)
            if code == "camera.lost":
                talks.voice.gone.set()
                await asyncio.sleep(0.05)
            await socket.send_bytes(sent)
            assert (await socket.receive_json(timeout=5))["code"] == code
            await until(lambda: talks.now is None)


async def test_who_may_not_switch_its_lamp_may_not_speak_through_it(speaking):
    box, _ = speaking
    async with box.client() as client:
        await client.log_in("op")
        for camera, status in (("yard", 403), ("nowhere", 404)):
            assert (await client.ask("GET", f"/api/camera/{camera}/talk"))[0] == status
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await client.socket(f"/ws/talk/{camera}")


async def test_the_camera_is_asked_once_and_told_from_one_that_does_not_answer(monkeypatch):
    from nvr.app import talks as module  # noqa: PLC0415 - what is replaced

    clock, asked, outcome = FakeClock(), [], {}

    @contextlib.asynccontextmanager
    async def mouth(caller, _clock):
        asked.append(caller.url)
        if outcome["error"]:
            raise outcome["error"]
        yield Voice()

    class Line:
        url = "rtsp://c/1"

    monkeypatch.setattr(module, "mouth", mouth)
    talks = module.CameraTalks({"gate": Line(), "local": None}.__getitem__, clock)
    outcome["error"] = Unavailable("camera.unreachable", "no route")
    assert not await talks.takes("gate")
    outcome["error"] = Rejected("talk.unsupported", "none")
    assert not await talks.takes("gate")
    outcome["error"] = None
    assert not await talks.takes("gate"), "remembered"
    assert len(asked) == 2
    clock.advance(700)
    assert await talks.takes("gate")
    assert not await talks.takes("local")
    with pytest.raises(NvrError, match=r"talk\.unsupported"):
        async with talks.speak("local", "a", "b"):
            pass
    async with talks.speak("gate", "a", "1.2.3.4"):
        assert talks.talker("gate").name == "a"
        with pytest.raises(NvrError, match=r"talk\.busy"):
            async with talks.speak("gate", "b", "1.2.3.5"):
                pass
        assert talks.talker("gate").name == "a"
    assert talks.talker("gate") is None
