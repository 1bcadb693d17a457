"""What `nvr device` prints of what the box sees."""

import json

import pytest

from nvr.cli import device
from nvr.cli.main import main
from nvr.media.device import VideoControl, VideoDevice, VideoFormat, VideoInput, VideoSize

PATH = "/dev/v4l/by-id/usb-Grabber-video-index0"
GRABBER = VideoDevice(
    PATH,
    "/dev/video2",
    "USB grabber",
    "em28xx",
    stable=True,
    inputs=(
        VideoInput(0, "Composite", ("PAL", "NTSC"), "none"),
        VideoInput(1, "S-Video", ("PAL", "NTSC")),
    ),
    standard="PAL",
    formats=(
        VideoFormat("YUYV", "4:2:2", False, (VideoSize(720, 576, (25.0,)), VideoSize(360, 288))),
        VideoFormat("BA81", "Bayer", False, (VideoSize(720, 576),)),
    ),
    controls=(VideoControl("Brightness", 0, 255, 128, "brightness", value=140),),
)


def test_a_technician_sees_what_to_write_and_what_is_wrong(capsys):
    device.show_video([GRABBER])
    said = capsys.readouterr().out
    assert f'url = "v4l2:{PATH}"' in said
    assert "input 0: Composite, PAL/NTSC, in use: NO SIGNAL, set to PAL" in said
    assert "YUYV  4:2:2: 720x576 at 25 fps; 1 smaller" in said
    assert "Bayer" not in said
    assert "Brightness" not in said
    device.show_video([GRABBER], full=True)
    said = capsys.readouterr().out
    assert "720x576 at 25 fps; 360x288" in said
    assert "Bayer" in said
    assert "control brightness = 140: Brightness, 0 to 255, usually 128" in said


def test_what_cannot_be_asked_is_said(capsys):
    device.show_video(
        [VideoDevice("/dev/video0", "/dev/video0", "x", "", False, fault="device.busy")]
    )
    said = capsys.readouterr().out
    assert "cannot be asked: device.busy" in said
    assert "no name that survives replugging" in said


@pytest.mark.parametrize("words", [["device"], ["device", "--json"]])
def test_any_machine_can_be_asked(words, capsys):
    assert main(words) == 0
    said = capsys.readouterr().out
    if "--json" in words:
        assert json.loads(said).keys() == {"video", "sound", "serial", "gpio"}
