"""An encoder of GStreamer, in a process of the system's own Python: nothing of ours is imported.

Where it is needed, GStreamer and its bindings are the board's (NVIDIA's, on a Jetson), built for the
system's Python and not for ours. Standard input brings messages, standard output takes them:
``kind(1) length(4, big-endian) body``.

    S  JSON: {"pipeline": "appsrc name=in ... ! appsink name=out", "unit_bps": 1 or 1000}
    F  pts(8) and the planes of a picture, rows padded to four bytes as GStreamer has them
    K  the next picture is to be a key frame
    B  JSON: {"bitrate_bps": n, "gop": n}
    ->
    O  the pipeline runs
    U  pts(8) dts(8) and one coded picture as a byte stream
    E  text: it failed, and this is the end

Source: GStreamer 1.22, appsrc, appsink, ``GstForceKeyUnit`` of gst-plugins-base/gst-libs/video.
"""

import json
import os
import struct
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

NS_PER_S = 1_000_000_000
TICKS_PER_S = 90_000
MOST_BYTES = 64 << 20


def write(kind, *pieces):
    """Write one message, whole."""
    body = b"".join(pieces)
    rest = memoryview(kind + struct.pack(">I", len(body)) + body)
    while rest:
        rest = rest[os.write(1, rest) :]


def read():
    """Read one message, None at the end."""
    head = sys.stdin.buffer.read(5)
    if len(head) < 5:
        return None
    size = struct.unpack(">I", head[1:])[0]
    if size > MOST_BYTES:
        return None
    return head[:1], sys.stdin.buffer.read(size)


def ticks(time_ns):
    """90 kHz of nanoseconds."""
    return round(time_ns * TICKS_PER_S / NS_PER_S)


class Encoding:
    """One running pipeline."""

    def __init__(self, order):
        self.unit_bps = order["unit_bps"]
        self.pipeline = Gst.parse_launch(order["pipeline"])
        self.source = self.pipeline.get_by_name("in")
        self.encoder = self.pipeline.get_by_name("enc")
        self.sink = self.pipeline.get_by_name("out")
        self.sink.connect("new-sample", self.taken)
        self.first = None
        self.ended = threading.Event()
        self.keys = 0

    def start(self):
        """Run it; raises if it does not."""
        if self.pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
            raise RuntimeError(self.fault() or "the pipeline does not start")

    def taken(self, sink):
        """Hand on a coded picture; in a thread of GStreamer's."""
        sample = sink.emit("pull-sample")
        data = sample.get_buffer()
        # Some encoders begin at 1000 hours, lest a decoding time be negative, and their segment too.
        begin = sample.get_segment().start
        pts = ticks(data.pts - begin)
        dts = pts if data.dts == Gst.CLOCK_TIME_NONE else ticks(data.dts - begin)
        first = self.first or 0
        write(b"U", struct.pack(">qq", pts + first, dts + first), data.extract_dup(0, data.get_size()))
        return Gst.FlowReturn.OK

    def frame(self, body):
        """Encode one picture."""
        pts = struct.unpack(">q", body[:8])[0]
        if self.first is None:
            self.first = pts
        data = Gst.Buffer.new_wrapped(body[8:])
        data.pts = (pts - self.first) * NS_PER_S // TICKS_PER_S
        flow = self.source.emit("push-buffer", data)
        if flow != Gst.FlowReturn.OK:
            raise RuntimeError(self.fault() or f"it takes no pictures: {flow.value_nick}")

    def key(self):
        """Force a key frame, by the encoder's own signal if it has one."""
        self.keys += 1
        if self.encoder is not None and Gst.ElementFactory.find("nvv4l2h264enc") is not None:
            try:
                self.encoder.emit("force-IDR")
            except TypeError:
                pass
            else:
                return
        structure = Gst.Structure.new_from_string(
            f"GstForceKeyUnit, all-headers=(boolean)true, count=(uint){self.keys}"
        )
        event = Gst.Event.new_custom(Gst.EventType.CUSTOM_DOWNSTREAM, structure)
        self.source.send_event(event)  # in its place behind pictures that wait

    def retarget(self, order):
        """Follow another rate."""
        self.encoder.set_property("bitrate", order["bitrate_bps"] // self.unit_bps)

    def fault(self):
        """What the pipeline complains of, empty if of nothing."""
        message = self.pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        return message.parse_error()[0].message if message else ""

    def end(self):
        """Have what is inside come out; waits seconds at most."""
        self.source.emit("end-of-stream")
        self.pipeline.get_bus().timed_pop_filtered(
            2 * NS_PER_S, Gst.MessageType.EOS | Gst.MessageType.ERROR
        )


def main():
    """Encode until standard input ends."""
    Gst.init(None)
    kind, body = read() or (b"", b"")
    if kind != b"S":
        return 2
    try:
        encoding = Encoding(json.loads(body))
        encoding.start()
        write(b"O")
        while True:
            message = read()
            if message is None:
                break
            kind, body = message
            if kind == b"F":
                encoding.frame(body)
            elif kind == b"K":
                encoding.key()
            elif kind == b"B":
                encoding.retarget(json.loads(body))
        encoding.end()
    except (GLib.Error, RuntimeError, TypeError, ValueError, KeyError, AttributeError) as err:
        write(b"E", str(err).encode("utf-8", "replace")[:500])
        return 1
    return 0


if __name__ == "__main__":
    CODE = main()
    os._exit(CODE)  # a driver may hang on its way out
