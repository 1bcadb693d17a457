"""A GStreamer RTSP server as the camera, run by the distribution's own Python.

    /usr/bin/python3 gst_camera.py KIND [--port N] [--user U --password P] [--certificate PEM]

KIND: h264-aac, h264-b (B-frames), h265, h264-pcma, h264-pcmu, h264, jpeg, jpeg-pcma.
Prints ``port N`` when it listens, at rtsp://127.0.0.1:N/camera, or rtsps:// with a certificate,
whose file holds the key as well.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PICTURE = "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=180,framerate=25/1"
JPEG = PICTURE.replace("180", "176")  # rtpjpegpay takes whole blocks only
# One thread: ffmpeg, reading GStreamer directly, conceals errors in sliced pictures with sound.
H264 = (
    PICTURE + " ! x264enc threads=1 key-int-max=25 speed-preset=superfast bitrate=400 %s"
    " ! rtph264pay name=pay0 pt=96 config-interval=%d"
)
SOUND = "audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate=%d,channels=1 ! audioconvert ! %s"
PLAIN = H264 % ("tune=zerolatency", -1)
PCMA = SOUND % (8000, "alawenc ! rtppcmapay name=pay1 pt=8")
KINDS = {
    "h264": PLAIN,
    "h264-sdp-only": H264 % ("tune=zerolatency", 0),
    "h264-b": H264 % ("bframes=2 b-adapt=false", -1),
    "h264-aac": PLAIN + " " + SOUND % (48000, "avenc_aac ! rtpmp4gpay name=pay1 pt=97"),
    "h264-pcma": PLAIN + " " + PCMA,
    "h264-pcmu": PLAIN + " " + SOUND % (8000, "mulawenc ! rtppcmupay name=pay1 pt=0"),
    "h265": PICTURE + " ! x265enc key-int-max=25 speed-preset=ultrafast tune=zerolatency bitrate=400"
    " ! rtph265pay name=pay0 pt=96 config-interval=-1",
    "jpeg": JPEG + " ! jpegenc ! rtpjpegpay name=pay0 pt=26",
    "jpeg-pcma": JPEG + " ! jpegenc ! rtpjpegpay name=pay0 pt=26 " + PCMA,
}

parser = argparse.ArgumentParser()
parser.add_argument("kind", choices=sorted(KINDS))
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--user", default="")
parser.add_argument("--password", default="")
parser.add_argument("--certificate", default="")
options = parser.parse_args()

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(str(options.port))
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch("( " + KINDS[options.kind] + " )")
factory.set_shared(True)
if options.user or options.certificate:
    auth = GstRtspServer.RTSPAuth()
    if options.certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(options.certificate))
    if options.user:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if options.user:
        auth.add_digest(options.user, options.password, token)
    else:
        auth.set_default_token(token)
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
