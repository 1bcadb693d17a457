"""The time server, asked by a client that nobody here wrote."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import ntplib
import pytest

from nvr.base.clock import FakeClock
from nvr.media.camera import ClockState
from nvr.serve.ntp import MOST_A_S, MOST_ASKERS, TimeServer
from tests.ports import free_port

WALL_US = 1_796_083_200_000_000


class Told:
    """A server on a port of its own, whose clock stands still and is set as `state` says."""

    def __init__(self) -> None:
        self.state = ClockState("rtc", 0xFFFF_FFFF)
        self.clock = FakeClock(WALL_US)
        self.server = TimeServer(self.clock, lambda: self.state)
        self.port = free_port()

    async def ask(self, host: str = "127.0.0.1") -> ntplib.NTPStats:
        return await asyncio.to_thread(
            ntplib.NTPClient().request, host, version=4, port=self.port, timeout=30
        )


@contextlib.asynccontextmanager
async def told(host: str = "127.0.0.1") -> AsyncIterator[Told]:
    it = Told()
    serving = asyncio.create_task(it.server.run(host, it.port))
    try:
        while not it.server.listening:
            await asyncio.sleep(0.01)
            assert not serving.done()
        yield it
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_clock_set_by_the_network_is_passed_on_with_its_uncertainty() -> None:
    async with told() as it:
        it.state = ClockState("ntp", 250)
        heard = await it.ask()
        assert ntplib.ntp_to_system_time(heard.tx_timestamp) == pytest.approx(WALL_US / 1e6, abs=1)
        assert (heard.stratum, heard.leap, heard.mode) == (4, 0, 4)
        assert heard.root_dispersion == pytest.approx(0.25, abs=0.001)


async def test_a_clock_on_a_battery_is_what_its_cameras_go_by() -> None:
    async with told() as it:
        heard = await it.ask()
        assert (heard.stratum, heard.leap, heard.root_dispersion) == (10, 0, 0)


async def test_a_clock_that_was_never_set_says_so() -> None:
    async with told() as it:
        it.state = ClockState("unsynced", 0xFFFF_FFFF)
        heard = await it.ask()
        assert (heard.stratum, heard.leap) == (0, 3)


async def test_who_asked_is_known_the_last_first_and_not_for_ever() -> None:
    async with told("0.0.0.0") as it:
        for last in range(1, MOST_ASKERS + 3):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera:
                camera.bind((f"127.0.1.{last}", 0))
                camera.sendto(b"\x23" + bytes(47), ("127.0.0.1", it.port))
        while len(it.server.askers) < MOST_ASKERS or it.server.askers[0].address != "127.0.1.66":
            await asyncio.sleep(0.01)
        assert [one.address for one in it.server.askers] == [
            f"127.0.1.{last}" for last in range(MOST_ASKERS + 2, 2, -1)
        ]


async def test_a_flood_is_answered_so_often_and_then_not_until_the_next_second() -> None:
    async with told() as it:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera:
            for asked in range(1, MOST_A_S + 21):
                camera.sendto(b"\x23" + bytes(47), ("127.0.0.1", it.port))
                while asked <= MOST_A_S and it.server.askers[:1] == ():
                    await asyncio.sleep(0.001)
                while asked <= MOST_A_S and it.server.askers[0].answered < asked:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.2)
        assert it.server.askers[0].answered == MOST_A_S
        it.clock.advance(1)
        await it.ask()
        assert it.server.askers[0].answered == MOST_A_S + 1


async def test_a_port_that_somebody_else_has_is_said_and_tried_again() -> None:
    it = Told()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", it.port))
        serving = asyncio.create_task(it.server.run("127.0.0.1", it.port))
        while it.server.fault is None:
            await asyncio.sleep(0.01)
        assert it.server.fault.code == "ntp.port"
    while not it.server.listening:
        await asyncio.sleep(0.01)
    assert it.server.fault is None
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
