"""gst-rtsp-server relaying one camera to many readers, run by the distribution's own Python.

    /usr/bin/python3 gst_relay.py URL

One shared media pulls the camera once, depacketises and packetises again, as its examples do.
Prints ``port N`` when it listens, at rtsp://127.0.0.1:N/cam. Ends when its standard input does.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = (
    "( rtspsrc name=camera location=%s protocols=tcp latency=0"
    " camera. ! application/x-rtp,media=video ! rtph264depay ! rtph264pay name=pay0 pt=96"
    " camera. ! application/x-rtp,media=audio ! rtpmp4gdepay ! rtpmp4gpay name=pay1 pt=97 )"
)

Gst.init(None)
loop = GLib.MainLoop()
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(LAUNCH % sys.argv[1])
factory.set_shared(True)
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
GLib.io_add_watch(0, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, lambda *_: loop.quit())
print("port", server.get_bound_port(), flush=True)
loop.run()
