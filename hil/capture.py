"""Captures from the kernel's simulated cameras, grabbers and microphones as the recorder does.

Runs in the guest of `hil.guest`: vivid's first device is a webcam, its second a television grabber.
Each check films through the process that the recorder films with, takes what ingest makes of it and
looks at the decoded pictures. Prints one JSON object, and ends with 1 if a check failed.
"""

import asyncio
import io
import json
import os
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import av
import numpy as np

from hil import loopback
from nvr.base.clock import SystemClock
from nvr.capture.film import Film, FilmSource
from nvr.capture.plugged import until_there
from nvr.capture.v4l2 import Pictures
from nvr.hal import v4l2
from nvr.hal.linux_sound import LinuxSound
from nvr.hal.linux_video import LinuxVideo, VideoPort
from nvr.media.device import Capture
from nvr.media.film import Wish
from nvr.media.ingest import Ingest
from nvr.media.part import Part
from nvr.wire import fmp4

WEBCAM, GRABBER = "/dev/video0", "/dev/video4"
LOOPBACK = 40
DRIVER = Path("/sys/bus/platform/drivers/vivid")
SIGNAL_MODE, STANDARD = "Standard Signal Mode", "Standard"
DROPPED, DISCONNECT = "Percentage of Dropped Buffers", "Disconnect"
MOVES = "Horizontal Movement"
CURRENT, NO_SIGNAL, SELECTED = 0, 1, 4
PATIENCE_S = 60.0
BT709_BARS = {"white": (180, 128, 128), "yellow": (168, 44, 136), "cyan": (145, 147, 44)}


class Wrong(Exception):
    """A check failed."""


def must(holds: bool, what: str) -> None:
    """Say what is wrong, unless it holds."""
    if not holds:
        raise Wrong(what)


def set_control(node: str, title: str, value: int) -> None:
    """Turn a knob of vivid's."""
    with VideoPort.open(node) as port:
        number = 0
        while True:
            found = v4l2.control(port.ask, number | v4l2.NEXT_CONTROL)
            if found.title == title:
                v4l2.set_control(port.ask, found.number, value)
                return
            number = found.number


def driver() -> str:
    """What vivid's devices hang on."""
    return next(DRIVER.glob("vivid.*")).name


def loopback_card() -> int:
    """Number of snd-aloop's card."""
    lines = Path("/proc/asound/cards").read_text().splitlines()
    return next(int(line.split()[0]) for line in lines if "[Loopback" in line)


class Filmed:
    """A camera that is being filmed, and what has come of it."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.states: list[tuple[float, str, str]] = []
        self.source: FilmSource

    async def until(self, what: str, holds: Callable[[], object]) -> float:
        """Wait for it; returns how long that took."""
        began_s = time.monotonic()
        while not holds():
            if time.monotonic() - began_s > PATIENCE_S:
                raise Wrong(f"{what}: not within {PATIENCE_S:g} s; states {self.states}")
            await asyncio.sleep(0.02)
        return time.monotonic() - began_s

    async def state(self, state: str, code: str) -> float:
        """Wait for a state; returns how long that took."""
        return await self.until(
            f"{state} {code}",
            lambda: self.states and self.states[-1][1:] == (state, code),
        )

    async def more(self, count: int) -> list[Part]:
        """Wait for so many further parts, one of them with a key frame, and return them."""
        had = len(self.parts)
        await self.until(
            f"{count} parts",
            lambda: len(self.parts) >= had + count and any(part.key for part in self.parts[had:-1]),
        )
        return self.parts[had:]


@asynccontextmanager
async def filmed(node: str, capture: Capture | None = None) -> AsyncIterator[Filmed]:
    """Film a device as the recorder would."""
    it, clock = Filmed(), SystemClock()
    ingest = Ingest(it.parts.extend, clock)

    async def wish(_: object) -> Wish:
        return Wish("x264", 3_000_000, 0.5, preset="ultrafast")

    film = Film(
        f"v4l2:{node}",
        wish,
        capture=lambda: capture or Capture(),
        there=partial(until_there, node),
    )
    it.source = FilmSource(
        "hil",
        film,
        ingest.stream("hil/main"),
        clock=clock,
        changed=lambda seen: it.states.append((time.monotonic(), seen.state, seen.code)),
    )
    running = [asyncio.ensure_future(ingest.run()), asyncio.ensure_future(it.source.run())]
    try:
        yield it
    finally:
        for task in reversed(running):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def decoded(parts: list[Part], kind: str = "video") -> list[np.ndarray]:
    """What a player shows, or plays, of parts of one configuration."""
    parts = parts[next(i for i, part in enumerate(parts) if part.key) :]
    parts = [part for part in parts if part.config == parts[0].config]
    data = fmp4.init_segment(parts[0].config) + b"".join(
        bytes(part.moof) + bytes(part.mdat) for part in parts
    )
    with av.open(io.BytesIO(data), format="mov") as container:
        return [frame.to_ndarray() for frame in container.decode(**{kind: 0})]


def at(picture: np.ndarray, x: float, y: float) -> tuple[int, int, int]:
    """Y, U, V of a yuv420p picture at a place given as parts of its size."""
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    row, column = int(y * height), int(x * width)
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    luma = picture[row, column]
    return int(luma), int(chroma[0][row // 2, column // 2]), int(chroma[1][row // 2, column // 2])


def combs(picture: np.ndarray) -> float:
    """How much more neighbouring lines differ than lines two apart."""
    luma = picture[: picture.shape[0] * 2 // 3].astype(int)
    one = np.abs(np.diff(luma, axis=0)).mean()
    return float(one - np.abs(luma[2:] - luma[:-2]).mean())


async def what_there_is() -> dict[str, object]:
    devices = LinuxVideo().devices()
    kinds = {tuple(entry.standards) for device in devices for entry in device.inputs}
    must(any(device.stable for device in devices), "udev's names were not found")
    must(("PAL", "NTSC", "SECAM") in kinds, f"no television input: {kinds}")
    sound = [device.name for device in LinuxSound().devices()]
    must("CARD=Loopback,DEV=1" in sound, f"no loopback: {sound}")
    return {"video": [device.path for device in devices], "sound": sound}


async def webcam(pixels: str) -> dict[str, object]:
    async with filmed(WEBCAM, Capture(format=pixels, size=(640, 360), rate_fps=25)) as it:
        await it.state("live", "")
        parts = await it.more(6)
        work = it.source.work
    pictures = decoded(parts)
    must(pictures[0].shape == (540, 640), f"of size {pictures[0].shape}")
    bars = {}
    for n, (name, wanted) in enumerate(BT709_BARS.items()):
        found = bars[name] = at(pictures[-1], (n + 0.5) / 8, 0.75)
        far = max(abs(a - b) for a, b in zip(found, wanted, strict=True))
        must(far <= 6, f"{name} is {found}, in BT.709 it is {wanted}")
    ticks = [part.start_90k for part in parts]
    must(ticks == sorted(ticks), "times go back")
    return {"pictures": len(pictures), "bars": bars, "late": work.late if work else 0}


async def television(standard: str, size: tuple[int, int]) -> dict[str, object]:
    set_control(GRABBER, MOVES, 6)
    try:
        shown = {}
        for mode in ("off", "frames", "fields"):
            wish = Capture(standard=standard, deinterlace=mode)
            async with filmed(GRABBER, wish) as it:
                await it.state("live", "")
                parts = await it.more(5)
                fps = it.source.began.fps if it.source.began else 0
            pictures = decoded(parts)
            must(
                pictures[0].shape == (size[1] * 3 // 2, size[0]),
                f"of size {pictures[0].shape}",
            )
            shown[mode] = {
                "combs": round(float(np.median([combs(one) for one in pictures[2:]])), 3),
                "fps": fps,
            }
        must(shown["off"]["combs"] > 1, f"nothing moves: {shown}")
        for mode in ("frames", "fields"):
            must(shown[mode]["combs"] < 0.5, f"it combs: {shown}")
        must(shown["fields"]["fps"] == 2 * shown["frames"]["fps"], f"rates: {shown}")
        return shown
    finally:
        set_control(GRABBER, MOVES, 3)


async def standard_by_itself() -> dict[str, object]:
    """The line says PAL, whatever was set; then it changes while it is filmed."""
    with VideoPort.open(GRABBER) as port:
        port.set_standard("ntsc")
    set_control(GRABBER, SIGNAL_MODE, SELECTED)
    try:
        set_control(GRABBER, STANDARD, 4)  # PAL-BGH
        async with filmed(GRABBER) as it:
            await it.state("live", "")
            first = it.source.began.size if it.source.began else None
            must(first == (720, 576), f"PAL is {first}")
            set_control(GRABBER, STANDARD, 0)  # NTSC-M
            again_s = await it.until(
                "the other size",
                lambda: it.source.began and it.source.began.size == (720, 480),
            )
            await it.state("live", "")
        must("device.standard" in [code for _, _, code in it.states], f"{it.states}")
        return {"from": first, "to": (720, 480), "after_s": round(again_s, 2)}
    finally:
        set_control(GRABBER, SIGNAL_MODE, CURRENT)


async def lost_signal_as_picture() -> dict[str, object]:
    async with filmed(GRABBER, Capture(standard="pal")) as it:
        await it.state("live", "")
        await it.more(2)
        set_control(GRABBER, SIGNAL_MODE, NO_SIGNAL)
        try:
            said_s = await it.state("live", "camera.no_signal")
            await it.more(3)
            parts = await it.more(5)
        finally:
            set_control(GRABBER, SIGNAL_MODE, CURRENT)
        dark = decoded(parts)[-1]
        must(at(dark, 0.05, 0.1) == (40, 128, 128), f"it is no dark picture: {at(dark, 0.05, 0.1)}")
        luma = dark[: dark.shape[0] * 2 // 3]
        written = float((luma > 150).mean())
        must(0.002 < written < 0.2, f"it does not say so: {written}")
        back_s = await it.state("live", "")
        await it.more(2)
        bright = decoded(await it.more(4))[-1]
        must(at(bright, 0.06, 0.75)[0] > 150, "the picture is not back")
        must(it.source.tally.connections == 1, "it was filmed anew")
        return {
            "said_s": round(said_s, 2),
            "back_s": round(back_s, 2),
            "text_share": round(written, 4),
        }


async def lost_signal_as_gap() -> dict[str, object]:
    async with filmed(GRABBER, Capture(standard="pal", no_signal="gap")) as it:
        await it.state("live", "")
        await it.more(2)
        set_control(GRABBER, SIGNAL_MODE, NO_SIGNAL)
        try:
            said_s = await it.state("frozen", "camera.no_signal")
            await asyncio.sleep(1.0)
            had = len(it.parts)
            await asyncio.sleep(9.0)
            must(len(it.parts) == had, f"{len(it.parts) - had} parts of nothing")
            must(it.states[-1][1:] == ("frozen", "camera.no_signal"), f"{it.states}")
        finally:
            set_control(GRABBER, SIGNAL_MODE, CURRENT)
        back_s = await it.state("live", "")
        await it.more(2)
        must(it.source.tally.connections == 1, "it was filmed anew")
        return {"said_s": round(said_s, 2), "back_s": round(back_s, 2)}


async def pulled_and_back() -> dict[str, object]:
    name = driver()
    first, gone, back = [], [], []
    for _ in range(3):
        async with filmed(WEBCAM, Capture(size=(640, 360))) as it:
            first.append(round(await it.state("live", ""), 2))
            await it.more(2)
            began_s = time.monotonic()
            await asyncio.to_thread((DRIVER / "unbind").write_text, name)
            await it.state("lost", "device.missing")
            gone.append(round(it.states[1][0] - began_s, 2))
            await asyncio.sleep(2.0)
            await asyncio.to_thread((DRIVER / "bind").write_text, name)
            bound_s = time.monotonic()
            await it.state("live", "")
            back.append(round(it.states[-1][0] - bound_s, 2))
            codes = [code for _, _, code in it.states]
            must(codes == ["", "device.gone", "device.missing", ""], f"{it.states}")
            await it.more(2)
    # What a start takes on the guest's one shared processor stands beside it.
    over = max(later - began for later, began in zip(back, first, strict=True))
    must(over <= 5.0, f"back {back} s after it was, first {first}")
    return {"first_s": first, "noticed_s": gone, "back_s": back}


async def disconnected_by_its_driver() -> dict[str, object]:
    async with filmed(WEBCAM, Capture(size=(640, 360))) as it:
        await it.state("live", "")
        set_control(WEBCAM, DISCONNECT, 1)
        began_s = time.monotonic()
        await it.until("lost", lambda: it.states[-1][1] == "lost")
        said = it.states[-1][2]
    name = driver()
    (DRIVER / "unbind").write_text(name)
    (DRIVER / "bind").write_text(name)
    return {"said": said, "after_s": round(it.states[-1][0] - began_s, 2)}


async def left_out_pictures() -> dict[str, object]:
    """vivid leaves one in ten out; its stamps go on."""
    wish = Capture(format="nv12", size=(320, 180), rate_fps=25)
    device = Pictures(WEBCAM, wish)
    device.close()
    await asyncio.sleep(0.5)
    set_control(WEBCAM, DROPPED, 10)
    try:
        device = Pictures(WEBCAM, wish)
        count, picture = 0, None
        for _ in range(250):
            picture = await asyncio.to_thread(device.read)
            count += picture is not None
        del picture
        late = device.late
        device.close()
    finally:
        set_control(WEBCAM, DROPPED, 0)
    share = late / (late + count)
    must(0.04 < share < 0.2, f"{share:.3f} of the pictures were left out, one in ten were")
    return {"read": count, "left_out": late, "share": round(share, 3)}


async def microphone() -> dict[str, object]:
    with loopback.Loudspeaker(loopback_card()):
        wish = Capture(size=(320, 180), rate_fps=5, alsa="CARD=Loopback,DEV=1")
        async with filmed(WEBCAM, wish) as it:
            await it.state("live", "")
            await it.more(4)
            parts = await it.more(12)
    sound = np.concatenate([one[0] for one in decoded(parts, "audio")])
    steady = sound[len(sound) // 4 :]
    spectrum = np.abs(np.fft.rfft(steady))
    hz = float(np.argmax(spectrum) * 48_000 / len(steady))
    must(abs(hz - 440) < 3, f"440 Hz were played, {hz:.1f} heard")
    return {"heard_hz": round(hz, 1), "seconds": round(len(sound) / 48_000, 2)}


async def jpeg_camera() -> dict[str, object]:
    size = (640, 480)
    frames = partial(loopback.jpegs, size, torn_each=5)
    with loopback.Loopback(LOOPBACK, "MJPG", size, frames) as camera:
        async with filmed(camera.node, Capture(size=size)) as it:
            await it.state("live", "")
            await it.more(2)
            parts = await it.more(6)
            late = it.source.work.late if it.source.work else 0
    picture = decoded(parts)[-1]
    white, grey = at(picture, 0.25, 0.5), at(picture, 0.75, 0.5)
    must(abs(white[0] - 235) <= 3, f"white is {white}")
    must(abs(grey[0] - (16 + 100 * 219 / 255)) <= 3, f"grey is {grey}")
    must(late > 0, "torn pictures were not counted")
    return {"white": white, "grey": grey, "left_out": late}


async def camera_that_encodes() -> dict[str, object]:
    size = (640, 480)
    with loopback.Loopback(LOOPBACK, "H264", size, partial(loopback.coded, size)) as camera:
        async with filmed(camera.node, Capture(format="h264", size=size)) as it:
            await it.state("live", "")
            await it.more(2)
            parts = await it.more(6)
            encoder = it.source.began.encoder if it.source.began else ""
        sent = list(camera.sent)
    data = b"".join(bytes(part.mdat) for part in parts)
    slices = [unit.rpartition(b"\0\0\1")[2] for unit in sent]
    whole = sum(one in data for one in slices)
    must(whole >= 20, f"only {whole} pictures are in the recording as they were sent")
    must(encoder == "camera", f"{encoder} encoded")
    must(len(decoded(parts)) >= 20, "they do not play")
    return {"untouched": whole, "of": len(slices)}


async def camera_that_sends_nothing() -> dict[str, object]:
    size = (640, 480)

    def few() -> AsyncIterator[bytes]:
        for number, frame in enumerate(loopback.jpegs(size)):
            if number > 60:
                time.sleep(0.2)
                return
            yield frame

    with loopback.Loopback(LOOPBACK, "MJPG", size, few) as camera:
        async with filmed(camera.node, Capture(size=size)) as it:
            await it.state("live", "")
            frozen_s = await it.state("frozen", "camera.frozen")
            lost_s = await it.until("lost", lambda: it.states[-1][1] == "lost")
            code = it.states[-1][2]
    must(code in {"camera.silent", "device.gone"}, f"it says {code}")
    return {"frozen_s": round(frozen_s, 1), "lost_s": round(frozen_s + lost_s, 1), "code": code}


CHECKS: dict[str, Callable[[], object]] = {
    "what there is": what_there_is,
    "webcam, YUYV": partial(webcam, "yuyv"),
    "webcam, NV12": partial(webcam, "nv12"),
    "grabber, PAL": partial(television, "pal", (720, 576)),
    "grabber, NTSC": partial(television, "ntsc", (720, 480)),
    "standard by itself": standard_by_itself,
    "no signal, as a picture": lost_signal_as_picture,
    "no signal, as a gap": lost_signal_as_gap,
    "pictures left out": left_out_pictures,
    "microphone": microphone,
    "JPEG camera": jpeg_camera,
    "H.264 camera": camera_that_encodes,
    "camera that stops sending": camera_that_sends_nothing,
    "pulled and back, three times": pulled_and_back,
    "disconnected by its driver": disconnected_by_its_driver,
}


def main(names: list[str]) -> int:
    """Run all checks, or those named."""
    if module := os.environ.get("NVR_LOOPBACK"):
        loopback.insert(module, LOOPBACK)
    results: dict[str, object] = {}
    failed = 0
    for name, check in CHECKS.items():
        if names and name not in names:
            continue
        began_s = time.monotonic()
        try:
            found = asyncio.run(check())  # type: ignore[arg-type]
            results[name] = {"passed": True, **found}
        except Exception as err:  # noqa: BLE001 - a check says what it likes
            failed += 1
            results[name] = {"passed": False, "why": f"{type(err).__name__}: {err}"}
            if not isinstance(err, Wrong):
                traceback.print_exc()
        sys.stderr.write(f"{time.monotonic() - began_s:6.1f} s  {name}: {results[name]}\n")
    kernel = os.uname()
    report = {
        "kernel": f"{kernel.sysname} {kernel.release} {kernel.machine}, user-mode Linux",
        "av": av.__version__,
        "failed": failed,
        "checks": results,
    }
    print()
    print(json.dumps(report, ensure_ascii=False))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
