"""Addresses the box must not be made to call, however they are spelled."""

import asyncio
import socket

import pytest

from nvr.base.clock import SystemClock
from nvr.base.errors import Rejected
from nvr.base.permit import Permit
from nvr.capture import rtsp
from nvr.capture.permit import check
from nvr.capture.rtsp import Caller, nobody


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


FORBIDDEN = [
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "localhost",
    "LOCALHOST",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0.0.0.0]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[::ffff:169.254.169.254]",
    "169.254.169.254",
    "169.254.0.1",
    "0xa9fea9fe",
    "2852039166",
    "[fe80::1]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "168.63.129.16",
    "[::ffff:100.100.100.200]",
    "224.0.0.1",
    "239.255.255.250",
    "[ff02::1]",
]


@pytest.mark.parametrize("host", FORBIDDEN)
@pytest.mark.parametrize("form", ["rtsp://{}/x", "rtsps://{}/x", "rtsp://{}:8443"])
async def test_the_box_does_not_call_itself_or_its_link(host: str, form: str) -> None:
    with pytest.raises(Rejected) as refused:
        await check(form.format(host), Permit())
    assert refused.value.code == "camera.forbidden"


async def test_the_box_does_not_call_its_own_address_on_the_network() -> None:
    try:
        own = own_address()
    except OSError:
        pytest.skip("this machine is on no network")
    with pytest.raises(Rejected):
        await check(f"rtsp://{own}:8443/", Permit())


@pytest.mark.parametrize(
    "host",
    ["192.168.77.64", "10.99.3.7", "203.0.113.9", "[2001:db8::7]", "[fd12::7]", "nobody.invalid"],
)
async def test_other_addresses_and_names_nobody_knows_yet_may_be_kept(host: str) -> None:
    await check(f"rtsp://{host}/x", Permit())


@pytest.mark.parametrize("url", ["rtsp://h:99999/", "rtsp://[::1/", "rtsp://[x]/"])
async def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Rejected) as refused:
        await check(url, Permit())
    assert refused.value.code == "config.refused"


def test_an_exception_is_one_address_and_one_port() -> None:
    permit = Permit(["127.0.0.1:8654", "[fe80::7]:554", "127.0.0.3:*"])
    assert permit("127.0.0.1", 8654)
    assert permit("::ffff:127.0.0.1", 8654)
    assert permit("fe80::7%lo", 554)
    assert permit("127.0.0.3", 1)
    assert not permit("127.0.0.1", 8443)
    assert not permit("127.0.0.2", 8654)
    assert not permit("::1", 8654)


async def test_a_name_that_changes_its_mind_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Allowed when it was kept, on this box when it is called: nobody is called."""
    called: list[object] = []
    server = await asyncio.start_server(lambda *ends: called.append(ends), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answers = [("203.0.113.9", port), ("127.0.0.1", port)]

    async def flip(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", answers.pop(0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", flip)
    async with server:
        url = f"rtsp://cam.example:{port}/"
        await check(url, Permit())
        with pytest.raises(Rejected) as refused:
            async with Caller(url, nobody, SystemClock(), permit=Permit()).call():
                pass
        assert refused.value.code == "camera.forbidden"
        await asyncio.sleep(0.05)
    assert not called
    assert not answers


async def test_a_label_too_long_for_a_name_is_a_name_nobody_knows() -> None:
    caller = Caller(f"rtsp://{'a' * 70}.example/", nobody, SystemClock(), permit=Permit())
    with pytest.raises(rtsp.Unavailable) as unknown:
        async with caller.call():
            pass
    assert unknown.value.code == "camera.unreachable"
