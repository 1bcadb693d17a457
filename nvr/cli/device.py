"""`nvr device`: what the box sees, hears, and can switch and send through."""

import argparse
import sys
from collections.abc import Sequence

import msgspec

from nvr.capture.choose import USABLE
from nvr.hal.linux_lines import GpioChip, SerialLine, gpio_chips, serial_lines
from nvr.hal.linux_sound import LinuxSound
from nvr.hal.linux_video import LinuxVideo
from nvr.media.device import SoundDevice, VideoControl, VideoDevice, VideoFormat, VideoInput

_DESCRIPTION = """\
Lists the cameras and grabbers of this box with their inputs, formats, sizes and
rates, its microphones, serial lines and GPIO chips, each by the name that survives
another order of plugging in. Asks the devices and changes nothing, beside a running
recorder too.
"""
_EXAMPLES = """\
examples:
  nvr device                 of a camera, the line `url` is what nvr.toml takes
  nvr device --full          every format, size, rate and control
  nvr device --json          for a program
"""
_SIGNAL = {"present": "", "none": ": NO SIGNAL", "unpowered": ": NO POWER", "unknown": ""}


class _Found(msgspec.Struct, frozen=True):
    """All of it."""

    video: list[VideoDevice]
    sound: list[SoundDevice]
    serial: list[SerialLine]
    gpio: list[GpioChip]


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "device",
        help="the cameras, microphones, serial lines and GPIO chips of this box",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--full", action="store_true", help="every format, size, rate and control")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Look at the devices."""
    found = _Found(LinuxVideo().devices(), LinuxSound().devices(), serial_lines(), gpio_chips())
    if chosen.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return 0
    show_video(found.video, full=chosen.full)
    for sound in found.sound:
        print(f'sound   {sound.title}\n  alsa = "{sound.name}"')
    for line in found.serial:
        print(f'serial  {line.title or line.node}\n  path = "{line.path}"')
    for chip in found.gpio:
        about = f"{chip.label}, {chip.lines} lines" if not chip.fault else chip.fault
        print(f"gpio    {chip.node}: {about}")
    for what, some in (
        ("camera or grabber", found.video),
        ("microphone", found.sound),
        ("serial line", found.serial),
        ("GPIO chip", found.gpio),
    ):
        if not some:
            print(f"no {what}")
    return 0


def show_video(devices: Sequence[VideoDevice], *, full: bool = False) -> None:
    """Print cameras and grabbers for a person."""
    for device in devices:
        by = f" ({device.driver})" if device.driver else ""
        print(f"video   {device.title}{by}, {device.node}")
        print(f'  url = "v4l2:{device.path}"')
        if not device.stable:
            print("  no name that survives replugging: is udev running?")
        if device.fault:
            print(f"  cannot be asked: {device.fault}")
        for entry in device.inputs:
            print(f"  input {_input(entry, device)}")
        for form in device.formats:
            if not full and form.fourcc not in USABLE:
                continue
            print(f"  {form.fourcc:<5} {form.title}: {_sizes(form, full=full)}")
        for one in device.controls if full else ():
            print(f"  control {_control(one)}")


def _input(entry: VideoInput, device: VideoDevice) -> str:
    words = [f"{entry.number}: {entry.title}"]
    if entry.standards:
        words.append("/".join(entry.standards))
    if entry.number == device.input:
        words.append("in use" + _SIGNAL[entry.signal])
        if device.standard and entry.standards:
            words.append(f"set to {device.standard}")
        if entry.black_white:
            words.append("black and white")
    return ", ".join(words)


def _control(one: VideoControl) -> str:
    """Its name and value, as ``[camera.capture.controls]`` takes them, and what it may be."""
    if one.kind == "menu":
        may = ", ".join(f"{value} {title}" for value, title in one.choices)
    elif one.kind == "switch":
        may = "0 or 1"
    else:
        may = f"{one.least} to {one.most}" + (f" by {one.step}" if one.step > 1 else "")
    held = "; held by another control now" if one.held else ""
    return f"{one.name} = {one.value}: {one.title}, {may}, usually {one.usual}{held}"


def _sizes(form: VideoFormat, *, full: bool) -> str:
    texts = [
        f"{size.width_px}x{size.height_px}"
        + (
            f" at {', '.join(f'{rate:g}' for rate in size.rates_fps[:6])} fps"
            if size.rates_fps
            else ""
        )
        for size in form.sizes
    ]
    if full or len(texts) < 2:
        return "; ".join(texts) or "no sizes told"
    return f"{texts[0]}; {len(texts) - 1} smaller"
