"""A GStreamer RTSP server as the camera, run by the distribution's own Python.

    /usr/bin/python3 gst_camera.py KIND [--port N] [--user U --password P] [--certificate PEM]
        [--over udp|tcp|multicast] [--host ADDRESS] [--interface NAME]

KIND: one of `KINDS`: the codecs, and what is odd about how they are sent.
Prints ``port N`` when it listens, at rtsp://127.0.0.1:N/camera, or rtsps:// with a certificate,
whose file holds the key as well. Beside it, at /sub, is a second stream: H.264 at 160x90; without
a user or a certificate all kinds are at /kind/KIND as well.
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
    "h264-g726": PLAIN + " " + SOUND % (8000, "avenc_g726 bitrate=32000 ! rtpg726pay name=pay1 pt=97 force-aal2=false"),
    "h264-latm": PLAIN + " " + SOUND % (32000, "avenc_aac ! rtpmp4apay name=pay1 pt=97"),
    "h264-opus": PLAIN + " " + SOUND % (48000, "opusenc ! rtpopuspay name=pay1 pt=97"),
    "h264-l16": PLAIN + " " + SOUND % (16000, "rtpL16pay name=pay1 pt=97"),
    "h264-nal": PICTURE + " ! x264enc threads=1 sliced-threads=true key-int-max=25 tune=zerolatency"
    " speed-preset=superfast bitrate=400 aud=true option-string=slices=4 ! h264parse"
    " ! video/x-h264,stream-format=byte-stream,alignment=nal"
    " ! rtph264pay name=pay0 pt=96 config-interval=1 aggregate-mode=max-stap",
    "h264-stap": H264 % ("tune=zerolatency aud=true", 1) + " aggregate-mode=zero-latency",
    "h265-ap": PICTURE + " ! x265enc key-int-max=25 speed-preset=ultrafast tune=zerolatency bitrate=400"
    " option-string=aud=1:slices=3:hrd=1 ! rtph265pay name=pay0 pt=96 config-interval=1 aggregate-mode=max",
    "h264-pcmu": PLAIN + " " + SOUND % (8000, "mulawenc ! rtppcmupay name=pay1 pt=0"),
    "h265": PICTURE + " ! x265enc key-int-max=25 speed-preset=ultrafast tune=zerolatency bitrate=400"
    " ! rtph265pay name=pay0 pt=96 config-interval=-1",
    "jpeg": JPEG + " ! jpegenc ! rtpjpegpay name=pay0 pt=26",
    "jpeg-422": JPEG.replace("I420", "Y42B") + " ! jpegenc ! rtpjpegpay name=pay0 pt=26",
    "jpeg-quality": JPEG + " ! jpegenc quality=60 ! rtpjpegpay quality=60 name=pay0 pt=26",
    "jpeg-restart": JPEG + " ! avenc_mjpeg huffman=default slices=4 qmin=3 qmax=3"
    " ! rtpjpegpay name=pay0 pt=26",
    "jpeg-large": JPEG.replace("width=320", "width=2304") + " ! jpegenc ! rtpjpegpay name=pay0 pt=26",
    "jpeg-pcma": JPEG + " ! jpegenc ! rtpjpegpay name=pay0 pt=26 " + PCMA,
    "mpeg4": PICTURE + " ! avenc_mpeg4 ! rtpmp4vpay name=pay0 pt=96",
    "mpeg4-pcma": PICTURE + " ! avenc_mpeg4 ! rtpmp4vpay name=pay0 pt=96 " + PCMA,
}

parser = argparse.ArgumentParser()
parser.add_argument("kind", choices=sorted(KINDS))
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--user", default="")
parser.add_argument("--password", default="")
parser.add_argument("--certificate", default="")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--interface", default="lo")
parser.add_argument("--over", choices=["udp", "tcp", "multicast"])
parser.add_argument("--size", default="320x180", help="of the picture")
options = parser.parse_args()

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address(options.host)
server.set_service(str(options.port))
factory = GstRtspServer.RTSPMediaFactory()
width, height = options.size.split("x")
launch = KINDS[options.kind].replace("width=320,height=180", f"width={width},height={height}")
factory.set_launch("( " + launch + " )")
factory.set_shared(True)
if options.over:
    allowed = {"udp": "UDP", "tcp": "TCP", "multicast": "UDP_MCAST"}[options.over]
    factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, allowed))
if options.over == "multicast":
    pool = GstRtspServer.RTSPAddressPool()
    pool.add_range("239.77.1.1", "239.77.1.9", 41000, 41098, 1)
    factory.set_address_pool(pool)
    factory.set_multicast_iface(options.interface)
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
if not (options.user or options.certificate):
    for kind, launch in KINDS.items():
        odd = GstRtspServer.RTSPMediaFactory()
        odd.set_launch("( " + launch + " )")
        odd.set_shared(True)
        server.get_mount_points().add_factory("/kind/" + kind, odd)
small = GstRtspServer.RTSPMediaFactory()
small.set_launch("( " + PLAIN.replace("320", "160").replace("180", "90") + " )")
small.set_shared(True)
if options.user or options.certificate:
    small.set_permissions(permissions)
server.get_mount_points().add_factory("/sub", small)
server.attach(None)
print("port", server.get_bound_port(), flush=True)
loop = GLib.MainLoop()
# The test's end of standard input closes with the test, whatever happens to it.
GLib.io_add_watch(sys.stdin, GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
loop.run()
