"""A local camera's ways that need no device: what waits for one, what is sent, what is asked."""

import asyncio
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.app.film_sender import Sender
from nvr.app.films import capture_of
from nvr.base.clock import SystemClock
from nvr.base.errors import Unavailable
from nvr.capture.film import Film, FilmSource
from nvr.capture.plugged import until_there
from nvr.capture.v4l2 import opened
from nvr.codec.sound import SoundUnit
from nvr.config import load
from nvr.hal.uevent import Uevents
from nvr.media.device import Capture
from nvr.media.encoder import AccessUnit
from nvr.media.film import Wish
from nvr.media.ingest import Ingest
from nvr.wire.rtp import AacPacketizer


async def test_a_device_that_comes_is_noticed_without_being_asked_for(tmp_path):
    device, told = tmp_path / "video0", []
    waiting = asyncio.ensure_future(until_there(str(device), lambda: told.append(1)))
    await asyncio.sleep(0.05)
    assert told == [1]
    assert not waiting.done()
    device.touch()
    async with asyncio.timeout(30):
        await waiting


async def test_a_device_that_is_there_is_not_waited_for(tmp_path):
    await until_there(str(tmp_path), lambda: pytest.fail("it is there"))


def test_only_what_the_kernel_says_of_such_devices_counts():
    with Uevents("video4linux") as heard:
        assert not heard.happened()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        heard._sock.close()
        heard._sock = ours
        theirs.send(b"add@/devices/x\0ACTION=add\0SUBSYSTEM=block\0")
        assert not heard.happened()
        theirs.close()


async def test_one_that_is_away_is_lost_and_its_process_only_waits(tmp_path):
    clock = SystemClock()
    ingest = Ingest(lambda _: None, clock)
    there = tmp_path / "video0"

    async def wish(_ended):
        return Wish("x264", 0)

    film = Film(
        f"v4l2:{there}",
        wish,
        there=lambda missing: until_there(str(there), missing),
    )
    states = []
    source = FilmSource(
        "east",
        film,
        ingest.stream("east/main"),
        clock=clock,
        changed=lambda state: states.append((state.state, state.code)),
    )
    running = [asyncio.ensure_future(ingest.run()), asyncio.ensure_future(source.run())]
    try:
        async with asyncio.timeout(60):
            while not states:
                await asyncio.sleep(0.02)
            assert states == [("lost", "device.missing")]
            await asyncio.sleep(0.3)
            pid = source.pid
            assert source.began is None
            there.touch()  # a file, and no device: the process says so
            while len(states) < 2:
                await asyncio.sleep(0.02)
        assert pid
        assert states[1] == ("lost", "device.no_video")
    finally:
        for task in reversed(running):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_a_device_that_is_not_there_is_said():
    with pytest.raises(Unavailable, match=r"device\.missing"):
        opened("v4l2:/dev/video99", Capture())


@given(st.lists(st.binary(min_size=1, max_size=8191), min_size=1, max_size=4))
def test_sound_is_packed_as_rfc_3640_has_it(frames):
    packets = AacPacketizer(97, 1, 65534)
    for number, frame in enumerate(frames):
        (packet,) = packets.packets([frame], 1024 * number)
        assert packet[1] == 0x80 | 97
        assert struct.unpack(">H", packet[2:4])[0] == (65534 + number) & 0xFFFF
        bits, size = struct.unpack(">HH", packet[12:16])
        assert (bits, size >> 3, size & 7) == (16, len(frame), 0)
        assert packet[16:] == frame


def test_pictures_and_sound_go_with_what_the_clocks_say():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        clock = SystemClock()
        sender = Sender(theirs, "h264", clock)
        now_s = clock.monotonic_s()
        at_90k = round((now_s - 0.5) * 90_000)
        sender.send([AccessUnit((b"\x65abc",), at_90k, key=True, dts_90k=at_90k)])
        sender.send_sound([SoundUnit(b"aac", round((now_s - 0.25) * 48_000))])
        data = ours.recv(65536)
        wall_s = {}
        channels = []
        while data:
            assert data[0] == 0x24
            channel, size = data[1], struct.unpack(">H", data[2:4])[0]
            channels.append(channel)
            if channel % 2:
                high, low = struct.unpack(">II", data[12:20])
                wall_s[channel] = high - 2_208_988_800 + low / 2**32
            data = data[4 + size :]
        assert channels == [1, 0, 3, 2]
        assert wall_s[3] - wall_s[1] == pytest.approx(0.25, abs=0.01)
        assert clock.wall_us() / 1e6 - wall_s[1] == pytest.approx(0.5, abs=0.4)


def faults(camera):
    text = f'schema = 1\n[[camera]]\nname = "east"\n{camera}\n'
    return [str(one) for one in load.check(text)]


CODED = '[camera.capture]\nformat = "h264"\n'
GOOD = 'url = "v4l2:/dev/v4l/by-id/usb-Maker_Cam_1-video-index0"\n'


def test_a_device_is_written_into_the_file():
    assert faults(GOOD) == []
    whole = GOOD + (
        '[camera.capture]\nformat = "yuyv"\nsize = [720, 576]\nrate_fps = 25\ninput = "Composite"\n'
        'standard = "pal"\ndeinterlace = "fields"\nno_signal = "gap"\nalsa = "CARD=Cam,DEV=0"\n'
    )
    assert faults(whole) == []
    assert faults(GOOD + CODED + "[camera.sub]\nsize = [320, 180]\n") == []


@pytest.mark.parametrize(
    ("camera", "place"),
    [
        ('url = "v4l2:/etc/passwd"', "$.camera[0].url"),
        ('url = "v4l2:/dev/../etc/passwd"', "$.camera[0].url"),
        ('url = "v4l2:video0"', "$.camera[0].url"),
        (GOOD + "[camera.capture]\nsize = [7, 5]", "size"),
        (GOOD + '[camera.capture]\nalsa = "hw:0"', "alsa"),
        (GOOD + f'{CODED}[camera.sub]\ncodec = "h265"', "sub.codec"),
        (GOOD + '[camera.capture]\nformat = "h264"\n[camera.encode]\ngop_s = 1.0', "format"),
        ('url = "rtsp://192.0.2.1/x"\n[camera.capture]\nformat = "auto"', "$.camera[0].capture"),
        (GOOD + '[[camera]]\nname = "west"\n' + GOOD, "$.camera[1].url"),
    ],
)
def test_what_cannot_be_is_named_with_its_place(camera, place):
    found = faults(camera)
    assert found
    assert place in found[0]


def test_what_is_not_said_is_chosen():
    class Camera:
        capture = None

    assert capture_of(Camera()) == Capture()
