"""A GStreamer ONVIF server as a camera that can be spoken to, run by the distribution's own Python.

    /usr/bin/python3 gst_talk.py CODEC FILE [--user U --password P]

CODEC: pcmu, pcma, or none for a camera without a loudspeaker. What is said is written to FILE as 16-bit
samples. Prints ``port N``, at rtsp://127.0.0.1:N/camera.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PICTURE = (
    "videotestsrc is-live=true ! video/x-raw,width=160,height=96,framerate=10/1"
    " ! x264enc threads=1 key-int-max=10 speed-preset=ultrafast tune=zerolatency"
    " ! rtph264pay name=pay0 pt=96 config-interval=-1"
)
PARTS = {"pcmu": (0, "PCMU", "rtppcmudepay ! mulawdec"), "pcma": (8, "PCMA", "rtppcmadepay ! alawdec")}

parser = argparse.ArgumentParser()
parser.add_argument("codec", choices=[*PARTS, "none"])
parser.add_argument("file")
parser.add_argument("--user", default="")
parser.add_argument("--password", default="")
options = parser.parse_args()

Gst.init(None)
server = GstRtspServer.RTSPOnvifServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPOnvifMediaFactory()
factory.set_launch("( " + PICTURE + " )")
factory.set_shared(False)
factory.set_media_gtype(GstRtspServer.RTSPOnvifMedia)
if options.codec != "none":
    number, name, decoder = PARTS[options.codec]
    factory.set_backchannel_launch(
        f'( capsfilter caps="application/x-rtp,media=audio,payload={number},clock-rate=8000,'
        f'encoding-name={name}" name=depay_backchannel ! {decoder} ! audio/x-raw,format=S16LE'
        f" ! filesink async=false sync=false buffer-mode=unbuffered location={options.file} )"
    )
if options.user:
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_digest(options.user, options.password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print("port", server.get_bound_port(), flush=True)
loop = GLib.MainLoop()
# The test's end of standard input closes with the test, whatever happens to it.
GLib.io_add_watch(sys.stdin, GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
loop.run()
