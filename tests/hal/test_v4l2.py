"""What is said to a capture device, held against the kernel's own header."""

import errno
import os
import struct
import sys
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.errors import Misconfigured, Unavailable
from nvr.hal import v4l2
from nvr.hal.linux_video import LinuxVideo, VideoPort
from nvr.hal.video_control import unoffered
from nvr.media.device import VideoControl, VideoSize
from tests.hal.header import compiled
from tests.hal.v4l2_fake import Device

NUMBERS = (
    "QUERYCAP", "ENUM_FMT", "G_FMT", "S_FMT", "STREAMOFF", "G_PARM", "G_STD", "S_STD",
    "ENUMINPUT", "G_CTRL", "S_CTRL", "QUERYCTRL", "QUERYMENU", "G_INPUT", "S_INPUT", "QUERYSTD",
    "ENUM_FRAMESIZES", "ENUM_FRAMEINTERVALS",
)  # fmt: skip
CONSTANTS = {
    "CAPTURE": "V4L2_BUF_TYPE_VIDEO_CAPTURE",
    "CAN_CAPTURE": "V4L2_CAP_VIDEO_CAPTURE",
    "CAN_STREAM": "V4L2_CAP_STREAMING",
    "NO_POWER": "V4L2_IN_ST_NO_POWER",
    "NO_SIGNAL": "V4L2_IN_ST_NO_SIGNAL",
    "NO_COLOUR": "V4L2_IN_ST_NO_COLOR",
    "NO_H_LOCK": "V4L2_IN_ST_NO_H_LOCK",
    "COLOUR_KILL": "V4L2_IN_ST_COLOR_KILL",
    "NO_V_LOCK": "V4L2_IN_ST_NO_V_LOCK",
    "NO_SYNC": "V4L2_IN_ST_NO_SYNC",
    "PAL": "V4L2_STD_PAL",
    "NTSC": "V4L2_STD_NTSC",
    "SECAM": "V4L2_STD_SECAM",
    "LINES_525": "V4L2_STD_525_60",
    "LINES_625": "V4L2_STD_625_50",
    "FIELD_NONE": "V4L2_FIELD_NONE",
    "FIELD_INTERLACED": "V4L2_FIELD_INTERLACED",
    "FIELD_TOP": "V4L2_FIELD_TOP",
    "FIELD_BOTTOM": "V4L2_FIELD_BOTTOM",
    "FIELD_TOP_HALF": "V4L2_FIELD_SEQ_TB",
    "FIELD_BOTTOM_HALF": "V4L2_FIELD_SEQ_BT",
    "COLOURS_709": "V4L2_COLORSPACE_REC709",
    "ENCODING_709": "V4L2_YCBCR_ENC_709",
    "FULL_RANGE": "V4L2_QUANTIZATION_FULL_RANGE",
    "FIELD_ALTERNATE": "V4L2_FIELD_ALTERNATE",
    "FIELD_TOP_FIRST": "V4L2_FIELD_INTERLACED_TB",
    "FIELD_BOTTOM_FIRST": "V4L2_FIELD_INTERLACED_BT",
    "BRIGHTNESS": "V4L2_CID_BRIGHTNESS",
    "NEXT_CONTROL": "V4L2_CTRL_FLAG_NEXT_CTRL",
}
# Each value is one byte that stands nowhere else, so that a field read at a wrong place shows.
FILLED = """
struct v4l2_capability c = {.capabilities = 0x80000001, .device_caps = 0x04000001};
strcpy((char *)c.driver, "drv"); strcpy((char *)c.card, "card"); strcpy((char *)c.bus_info, "bus");
put("capability", &c, sizeof c);
struct v4l2_fmtdesc f = {.index = 3, .type = 1, .flags = 1, .pixelformat = V4L2_PIX_FMT_MJPEG};
strcpy((char *)f.description, "jpegs");
put("format_name", &f, sizeof f);
struct v4l2_frmsizeenum s = {.index = 1, .pixel_format = V4L2_PIX_FMT_YUYV, .type = 1};
s.discrete.width = 640; s.discrete.height = 360;
put("discrete", &s, sizeof s);
struct v4l2_frmsizeenum r = {.pixel_format = V4L2_PIX_FMT_YUYV, .type = 3};
r.stepwise.min_width = 16; r.stepwise.max_width = 4096; r.stepwise.step_width = 2;
r.stepwise.min_height = 8; r.stepwise.max_height = 2160; r.stepwise.step_height = 4;
put("stepwise", &r, sizeof r);
struct v4l2_frmivalenum i = {.pixel_format = V4L2_PIX_FMT_YUYV, .width = 640, .height = 360};
i.type = 1; i.discrete.numerator = 1001; i.discrete.denominator = 30000;
put("interval", &i, sizeof i);
struct v4l2_input n = {.index = 2, .type = 2, .std = V4L2_STD_PAL | V4L2_STD_NTSC,
  .status = V4L2_IN_ST_NO_SIGNAL, .capabilities = 4};
strcpy((char *)n.name, "Composite");
put("input", &n, sizeof n);
struct v4l2_format p = {.type = 1};
p.fmt.pix.width = 720; p.fmt.pix.height = 576; p.fmt.pix.pixelformat = V4L2_PIX_FMT_UYVY;
p.fmt.pix.field = V4L2_FIELD_INTERLACED; p.fmt.pix.colorspace = 1; p.fmt.pix.priv = 0xfeedcafe;
p.fmt.pix.ycbcr_enc = 2; p.fmt.pix.quantization = 1; p.fmt.pix.xfer_func = 7;
put("picture", &p, sizeof p);
struct v4l2_queryctrl q = {.id = 0x980900, .type = 1, .minimum = -5, .maximum = 9, .step = 2,
  .default_value = 3, .flags = 4};
strcpy((char *)q.name, "Brightness");
put("control", &q, sizeof q);
struct v4l2_querymenu m = {.id = 0x9a0901, .index = 1};
strcpy((char *)m.name, "Manual Mode");
put("menu", &m, sizeof m);
struct v4l2_streamparm a = {.type = 1};
a.parm.capture.timeperframe.numerator = 1; a.parm.capture.timeperframe.denominator = 25;
put("parameters", &a, sizeof a);
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """What a compiler makes of the header: numbers by name, filled structures by name."""
    shown = [f"VIDIOC_{name}" for name in NUMBERS] + list(CONSTANTS.values())
    headers = ("linux/videodev2.h",)
    place = tmp_path_factory.mktemp("v4l2")
    return compiled(place, headers, {name: name for name in shown}, FILLED)


def test_every_size_place_and_number_is_the_kernels(kernel):
    for name in NUMBERS:
        assert hex(getattr(v4l2, name)) == "0x" + kernel[f"VIDIOC_{name}"], name
    for ours, theirs in CONSTANTS.items():
        assert getattr(v4l2, ours) & 0xFFFFFFFF == int(kernel[theirs], 16) & 0xFFFFFFFF, ours


def answers(kernel, name):
    """A device that answers anything with the compiler's bytes."""
    golden = bytes.fromhex(kernel[name])

    def ask(request, data):
        assert len(data) == len(golden) == request >> 16 & 0x3FFF
        data[:] = golden

    return ask


def test_structures_are_read_where_the_compiler_put_them(kernel):
    what = v4l2.capability(answers(kernel, "capability"))
    assert what == v4l2.Capability("drv", "card", "bus", 0x04000001)
    assert what.captures
    form = v4l2.format_name(answers(kernel, "format_name"), 3)
    assert form == v4l2.FormatName("MJPG", "jpegs", compressed=True)
    size = v4l2.frame_size(answers(kernel, "discrete"), "YUYV", 1)
    assert size == v4l2.FrameSize(v4l2.Range(640, 640, 1), v4l2.Range(360, 360, 1))
    size = v4l2.frame_size(answers(kernel, "stepwise"), "YUYV", 0)
    assert size == v4l2.FrameSize(v4l2.Range(16, 4096, 2), v4l2.Range(8, 2160, 4))
    assert v4l2.rates_fps(answers(kernel, "interval"), "YUYV", (640, 360), 0) == (29.97,)
    entry = v4l2.input_of(answers(kernel, "input"), 2)
    assert entry == v4l2.Input(2, "Composite", 0xB0FF, v4l2.NO_SIGNAL)
    picture = v4l2.picture_format(answers(kernel, "picture"))
    assert picture == v4l2.PictureFormat(720, 576, "UYVY", v4l2.FIELD_INTERLACED, 1, 2, 1)
    found = v4l2.control(answers(kernel, "control"), 0)
    assert found == v4l2.Control(0x980900, 1, "Brightness", -5, 9, 2, 3, 4)
    assert v4l2.menu_item(answers(kernel, "menu"), 0x9A0901, 1) == "Manual Mode"
    assert v4l2.rate_fps(answers(kernel, "parameters")) == 25.0


def test_what_is_set_lies_where_the_compiler_put_it(kernel):
    told = {}

    def ask(request, data):
        told[request] = bytes(data)

    wanted = v4l2.PictureFormat(720, 576, "UYVY", v4l2.FIELD_INTERLACED, 0, 0, 0)
    v4l2.set_picture_format(ask, wanted)
    golden = bytearray(bytes.fromhex(kernel["picture"]))
    golden[24:] = bytes(len(golden) - 24)  # what follows `field` is the device's to say
    assert told[v4l2.S_FMT] == bytes(golden)
    v4l2.set_standard(ask, v4l2.PAL)
    assert told[v4l2.S_STD] == v4l2.PAL.to_bytes(8, sys.byteorder)
    v4l2.choose_input(ask, 3)
    assert told[v4l2.S_INPUT] == struct.pack("i", 3)
    v4l2.set_control(ask, 0x980900, -3)
    assert told[v4l2.S_CTRL] == struct.pack("Ii", 0x980900, -3)


ASKS = [
    v4l2.capability,
    lambda ask: v4l2.format_name(ask, 0),
    lambda ask: v4l2.frame_size(ask, "YUYV", 0),
    lambda ask: v4l2.rates_fps(ask, "YUYV", (640, 480), 0),
    lambda ask: v4l2.input_of(ask, 0),
    v4l2.picture_format,
    v4l2.rate_fps,
    v4l2.standard,
    lambda ask: v4l2.control(ask, 0),
    lambda ask: v4l2.menu_item(ask, 0, 0),
]


@given(st.sampled_from(ASKS), st.binary(min_size=256, max_size=256))
def test_no_answer_of_a_driver_is_too_odd(ask, noise):
    def answer(request, data):
        data[:] = noise[: len(data)]

    said = str(ask(answer))
    assert said.isprintable(), "nothing of a driver's steers a terminal"


def port(device):
    return VideoPort(0, "/dev/video0", device.ioctl)


def test_a_webcam_tells_what_it_offers_best_first():
    formats = port(Device()).formats()
    assert [form.fourcc for form in formats] == ["MJPG", "YUYV"]
    assert formats[0].sizes[0] == VideoSize(1920, 1080, (30.0, 15.0))
    assert formats[0].compressed
    assert not formats[1].compressed


def test_a_driver_that_never_ends_is_left_in_time():
    device = Device(formats=[(b"YUYV", "again", 0, [(640, 480, [30])])])
    device._pick = lambda some, _: some[0] if some else (0x980900, "again", 0, 1, 1, 0, 0)
    assert len(port(device).formats()) == 1
    assert len(device.asked) < 64 * 64 * 3
    device.controls = [(0x980900, "again", 0, 1, 1, 0, 0)]
    assert len(port(device).controls()) <= 64


def test_what_can_be_set_is_listed():
    some = [(0x980900, "Brightness", 0, 255, 1, 128, 0), (0x980901, "Held", 0, 1, 1, 0, 1)]
    assert port(Device(controls=some)).controls() == (
        VideoControl("Brightness", 0, 255, 128, "brightness", "number", 1, 128),
    )


EXPOSURE = [
    (0x980900, "Brightness", 0, 255, 1, 128, 0),
    (0x9A0901, "Auto Exposure", 0, 3, 1, 3, 0),
    (0x9A0902, "Exposure Time, Absolute", 3, 2047, 2, 251, 0x10),
]


def webcam():
    menus = {0x9A0901: {1: "Manual Mode", 3: "Aperture Priority Mode"}}
    return Device(controls=EXPOSURE, kinds={0x9A0901: 3}, menus=menus)


def test_a_menu_says_what_may_be_chosen_and_what_is_held_says_so():
    _, menu, time = port(webcam()).controls()
    assert (menu.name, menu.kind, menu.value) == ("auto_exposure", "menu", 3)
    assert menu.choices == ((1, "Manual Mode"), (3, "Aperture Priority Mode"))
    assert (time.name, time.held, time.step) == ("exposure_time_absolute", True, 2)


def test_what_is_automatic_is_turned_before_what_it_holds_and_back_as_usual():
    device = webcam()
    wanted = (("exposure_time_absolute", 301), ("auto_exposure", 1), ("brightness", 128))
    assert port(device).turn(wanted) == []
    assert device.turned == [("Auto Exposure", 1), ("Exposure Time, Absolute", 301)]
    device.turned.clear()
    assert port(device).turn((("auto_exposure", 1),), wanted) == []
    assert device.turned == [("Exposure Time, Absolute", 251)], "what is left out is as usual"


def test_what_a_device_does_not_take_is_said_and_the_rest_is_set():
    device = webcam()
    said = port(device).turn((("brightness", 300), ("zoom", 1), ("auto_exposure", 1)))
    assert said == [
        "it has no control zoom",
        "it does not take 300 for brightness: Numerical result out of range",
    ]
    assert device.turned == [("Auto Exposure", 1)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ((("brightness", 255), ("auto_exposure", 3)), None),
        ((("brightness", 256),), ("brightness 256", "0-255")),
        ((("exposure_time_absolute", 4),), ("exposure_time_absolute 4", "3-2047/2")),
        (
            (("auto_exposure", 2),),
            ("auto_exposure 2", "1 Manual Mode, 3 Aperture Priority Mode"),
        ),
        ((("zoom", 1),), ("zoom", "brightness, auto_exposure, exposure_time_absolute")),
    ],
)
def test_what_is_not_offered_is_known_before(wanted, found):
    assert unoffered(wanted, port(webcam()).controls()) == found


def test_a_device_that_scales_freely_offers_the_usual_sizes():
    device = Device(formats=[(b"NV12", "any", 0, [])], ranges={b"NV12": (32, 2592, 2, 32, 1944, 2)})
    sizes = [(s.width_px, s.height_px) for s in port(device).formats()[0].sizes]
    assert sizes[0] == (2592, 1944)
    assert (1920, 1080) in sizes
    assert (3840, 2160) not in sizes


def test_a_grabber_says_its_size_by_its_standard():
    device = Device(formats=[(b"UYVY", "4:2:2", 0, [])], current=(720, 576, b"UYVY", 4))
    assert port(device).formats()[0].sizes == (VideoSize(720, 576),)


GRABBER = {"inputs": [("Composite", 0xB0FF), ("S-Video", 0xB0FF)], "standard": v4l2.NTSC}


def test_the_standard_is_that_of_what_comes_in():
    device = Device(**GRABBER, detected=v4l2.LINES_625)
    one = port(device)
    assert one.standard() == "NTSC"
    one.set_standard("auto")
    assert device.standard == v4l2.PAL
    device.detected = v4l2.NTSC
    one.set_standard("auto")
    assert device.standard == v4l2.NTSC


def test_a_grabber_that_cannot_tell_is_left_as_it_is():
    device = Device(**GRABBER, detected=v4l2.LINES_525 | v4l2.LINES_625)
    assert port(device).detect() == ""
    port(device).set_standard("auto")
    assert device.standard == v4l2.NTSC
    device.detected = 0
    port(device).set_standard("auto")
    assert device.standard == v4l2.NTSC


def test_a_standard_it_does_not_take_is_said():
    with pytest.raises(Misconfigured, match="no_standard"):
        port(Device(**GRABBER)).set_standard("secam")
    with pytest.raises(Misconfigured, match="no_standard"):
        port(Device()).set_standard("pal")
    port(Device()).set_standard("auto")  # a webcam has none and needs none


def test_an_input_goes_by_number_or_title():
    device = Device(**GRABBER)
    assert port(device).choose("S-Video") == 1
    assert device.used == 1
    assert port(device).choose("0") == 0
    assert port(device).choose("") == 0
    with pytest.raises(Misconfigured, match="no_input"):
        port(device).choose("HDMI")
    device.busy = True
    with pytest.raises(Unavailable, match="busy"):
        port(device).choose("1")


@pytest.mark.parametrize(
    ("status", "signal", "grey"),
    [
        (0, "present", False),
        (v4l2.NO_SIGNAL, "none", False),
        (v4l2.NO_H_LOCK, "none", False),
        (v4l2.NO_SYNC, "none", False),
        (v4l2.NO_POWER, "unpowered", False),
        (v4l2.COLOUR_KILL, "present", True),
    ],
)
def test_what_comes_in_is_told(status, signal, grey):
    found = port(Device(**GRABBER, status=status)).status()
    assert (found.signal, found.black_white) == (signal, grey)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENODEV, "device.gone"),
        (errno.EBUSY, "device.busy"),
        (errno.EACCES, "device.denied"),
        (errno.ENOSPC, "device.no_room"),
        (errno.ETIMEDOUT, "device.failed"),
    ],
)
def test_a_refusal_is_told_in_words(number, code):
    with pytest.raises((Unavailable, Misconfigured)) as caught:
        port(Device(broken=number)).status()
    assert caught.value.code == code


def test_what_is_no_camera_is_no_camera():
    with pytest.raises(Misconfigured, match="no_video"):
        port(Device(own_caps=0x04A00000)).capability()  # metadata of one
    with pytest.raises(Misconfigured, match="no_video"):
        port(Device(broken=errno.ENOTTY)).capability()


@pytest.fixture
def box(tmp_path):
    """A /dev whose nodes are files, each with a device behind it."""
    devices = {}

    def add(name, device, by_id="", by_path=""):
        node = tmp_path / name
        node.touch()
        devices[str(node)] = device
        for kind, link in (("by-id", by_id), ("by-path", by_path)):
            if link:
                (tmp_path / "v4l" / kind).mkdir(parents=True, exist_ok=True)
                (tmp_path / "v4l" / kind / link).unlink(missing_ok=True)
                (tmp_path / "v4l" / kind / link).symlink_to(node)

    def ioctl(fd, request, data):
        devices[os.readlink(f"/proc/self/fd/{fd}")].ioctl(fd, request, data)

    def found():
        return LinuxVideo(tmp_path, ioctl).devices()

    return add, found


def test_devices_go_by_names_that_survive_replugging(box):
    add, found = box
    add("video10", Device(card="grabber"), by_path="pci-0-video-index0")
    add("video2", Device(card="cam"), "usb-Maker_Cam_123-video-index0", "usb-1.2-video-index0")
    add("video3", Device(own_caps=0x00800000), "usb-Maker_Cam_123-video-index1")
    add("video0", Device(card="sensor"))
    add("video", Device())
    devices = found()
    assert [(d.title, d.path.rpartition("/")[2], d.stable) for d in devices] == [
        ("sensor", "video0", False),
        ("cam", "usb-Maker_Cam_123-video-index0", True),
        ("grabber", "pci-0-video-index0", True),
    ]


def test_twins_without_serial_numbers_go_by_their_sockets(box):
    """udev's name by id leads to whichever was seen last."""
    add, found = box
    add("video0", Device(), "usb-Maker_Cam-video-index0", "usb-1.1-video-index0")
    add("video2", Device(), "usb-Maker_Cam-video-index0", "usb-1.2-video-index0")
    names = [device.path.rpartition("/")[2] for device in found()]
    assert names == ["usb-1.1-video-index0", "usb-1.2-video-index0"]


@given(st.lists(st.sampled_from([errno.EINVAL, errno.ENODEV, errno.EIO, 0]), max_size=40))
def test_a_device_pulled_at_any_moment_is_listed_or_not(moments):
    """Whatever fails whenever, it is asked to the end and nothing is raised."""
    left = iter([*moments, *[errno.ENODEV] * 4000])
    device = Device(**GRABBER)

    def ioctl(fd, request, data):
        if code := next(left):
            raise OSError(code, "pulled")
        device.ioctl(fd, request, data)

    one = VideoPort(0, "x", ioctl)
    assert len(list(islice(one.inputs(), 3))) <= 2
    assert len(one.formats()) <= 2
    assert one.standard() in {"", "NTSC"}
    assert one.rate_fps() == 0.0
