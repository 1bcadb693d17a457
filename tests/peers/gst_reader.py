"""A GStreamer reader: plays an RTSP address for some seconds, prints what it saw as JSON.

    /usr/bin/python3 gst_reader.py URL SECONDS [--user U --password P]
"""

import argparse
import json
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("seconds", type=float)
parser.add_argument("--user", default="")
parser.add_argument("--password", default="")
options = parser.parse_args()

Gst.init(None)
pipeline = Gst.Pipeline()
source = Gst.ElementFactory.make("rtspsrc")
source.set_property("location", options.url)
source.set_property("protocols", 4)  # TCP
source.set_property("latency", 200)
source.set_property("tls-validation-flags", 0)
if options.user:
    source.set_property("user-id", options.user)
    source.set_property("user-pw", options.password)
pipeline.add(source)
loop = GLib.MainLoop()
seen = {"video": [], "audio": [], "error": "", "caps": {}}


def count(pad, info, kind):
    seen[kind].append(info.get_buffer().pts)
    return Gst.PadProbeReturn.OK


def added(element, pad):
    caps = pad.get_current_caps().get_structure(0)
    kind = caps.get_string("media")
    seen["caps"][kind] = caps.get_string("encoding-name")
    decode = Gst.ElementFactory.make("decodebin")
    pipeline.add(decode)

    def decoded(_element, out):
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("sync", False)
        pipeline.add(sink)
        sink.sync_state_with_parent()
        target = sink.get_static_pad("sink")
        target.add_probe(Gst.PadProbeType.BUFFER, count, kind)
        out.link(target)

    decode.connect("pad-added", decoded)
    decode.sync_state_with_parent()
    pad.link(decode.get_static_pad("sink"))


def failed(_bus, message):
    error, detail = message.parse_error()
    seen["error"] = seen["error"] or "%s: %s" % (error.message, detail)
    loop.quit()


source.connect("pad-added", added)
bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message::error", failed)
bus.connect("message::eos", lambda *_: loop.quit())
pipeline.set_state(Gst.State.PLAYING)
GLib.timeout_add(int(options.seconds * 1000), loop.quit)
loop.run()
pipeline.set_state(Gst.State.NULL)
json.dump(
    {
        "frames": len(seen["video"]),
        "sounds": len(seen["audio"]),
        "video_pts_s": [pts / 1e9 for pts in seen["video"]],
        "audio_pts_s": [pts / 1e9 for pts in seen["audio"]],
        "caps": seen["caps"],
        "error": seen["error"],
    },
    sys.stdout,
)
