"""How the devices of this box are used, as people change it: held against what each device offers.

A device that is not there cannot be asked; what is wished of it is taken as it is, and what turns
out not to work is said by the stream.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from nvr.app import edit
from nvr.app.cameras import CameraTable
from nvr.app.films import capture_of
from nvr.base.errors import NvrError, Rejected
from nvr.capture.choose import USABLE, choose
from nvr.hal.linux_sound import LinuxSound
from nvr.hal.linux_video import LinuxVideo
from nvr.hal.video_control import unoffered as unoffered_controls
from nvr.media.device import Capture, SoundDevice, VideoDevice

_SCHEME = "v4l2:"

Devices = Callable[[], tuple[Sequence[VideoDevice], Sequence[SoundDevice]]]


def devices() -> tuple[Sequence[VideoDevice], Sequence[SoundDevice]]:
    """The capture devices of the box; blocks."""
    return LinuxVideo().devices(), LinuxSound().devices()


class Capturing:
    """See `nvr.media.device.Captures`.

    Args:
        cameras: Whose devices.
        listed: What is plugged in; blocks.
    """

    def __init__(self, cameras: CameraTable, listed: Devices = devices) -> None:
        self._cameras, self._listed = cameras, listed

    def capture(self, name: str) -> Capture | None:  # noqa: D102 - see Captures
        camera = self._cameras.roster.must(name)
        return capture_of(camera) if camera.url.startswith(_SCHEME) else None

    async def offered(  # noqa: D102 - see Captures
        self, name: str
    ) -> tuple[VideoDevice | None, Sequence[SoundDevice]]:
        url = self._cameras.roster.must(name).url
        if not url.startswith(_SCHEME):
            return None, ()
        video, sound = await asyncio.to_thread(self._listed)
        return device_at(url.removeprefix(_SCHEME), video), sound

    async def write_capture(self, name: str, wanted: Capture) -> None:  # noqa: D102 - see Captures
        before = self.capture(name)
        if before is None:
            raise Rejected("capture.refused", "it is no device of this box", camera=name)
        if wanted == before:
            return
        device, sound = await self.offered(name)
        lacking = unoffered(wanted, device, sound, before)
        if lacking is not None:
            what, has = lacking[0], lacking[1] or "none"
            sentence = f"the device does not offer {what}; it offers {has}"
            raise Rejected("capture.refused", sentence, camera=name, what=what, has=has)
        await self._cameras.rewrite(name, edit.captured(name, wanted))
        self._cameras.roster.films.recapture(name, before)


def device_at(path: str, video: Sequence[VideoDevice]) -> VideoDevice | None:
    """Return the device that a path leads to, None if it is not plugged in, or cannot be asked."""
    node = os.path.realpath(path)
    return next(
        (one for one in video if not one.fault and (one.path == path or one.node == node)), None
    )


def unoffered(
    wanted: Capture, device: VideoDevice | None, sound: Sequence[SoundDevice], before: Capture
) -> tuple[str, str] | None:
    """Return what of it is not to be had, and what is instead; None if all is.

    Of a microphone and a format only what is new is looked at: what has worked may be busy now.
    """
    named = [one.name for one in sound]
    if wanted.alsa and wanted.alsa != before.alsa and wanted.alsa not in named:
        return wanted.alsa, ", ".join(named)
    if device is None:
        return None
    entries = {one.title: one for one in device.inputs}
    entries |= {str(one.number): one for one in device.inputs}
    entry = entries.get(wanted.input or str(device.input))
    if entry is None:
        return wanted.input, ", ".join(one.title for one in device.inputs)
    if wanted.standard != "auto" and wanted.standard.upper() not in entry.standards:
        return wanted.standard.upper(), ", ".join(entry.standards)
    # What another input offers, the device tells only once that is in use.
    if entry.number == device.input and _picture(wanted) != _picture(before):
        try:
            choose(device.formats, wanted)
        except NvrError:
            size = "{}x{}".format(*wanted.size) if wanted.size else ""
            return f"{wanted.format} {size}".strip(), _sizes(device)
    return unoffered_controls(wanted.controls, device.controls)


def _sizes(device: VideoDevice) -> str:
    """Formats that can be used, with the largest sizes of each."""
    found = []
    for form in device.formats:
        if form.fourcc in USABLE:
            sizes = [f"{size.width_px}x{size.height_px}" for size in form.sizes[:6]]
            found.append(f"{form.fourcc} {' '.join(sizes)}".strip())
    return ", ".join(found)


def _picture(capture: Capture) -> Capture:
    """Only what a format is chosen by."""
    usual = Capture()
    return replace(usual, format=capture.format, size=capture.size, rate_fps=capture.rate_fps)
