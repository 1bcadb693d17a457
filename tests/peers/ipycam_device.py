"""The ONVIF half of `ipycam`, a virtual camera from PyPI, as a device nobody here wrote.

    python ipycam_device.py [--address A] [--port N] [--user U --password P] [--rtsp-port N]
                            [--names MAIN SUB] [--discovery]

Prints ``port N`` when it listens. What it would need OpenCV for, pictures, comes from elsewhere:
its stream addresses lead to `--rtsp-port`. Each motion it is told is printed: ``move P T Z``,
``stop``. Ends when its standard input does.
"""

import argparse
import http.server
import logging
import os
import sys
import tempfile
import threading
import types

sys.modules["cv2"] = types.ModuleType("cv2")  # pictures are not asked of it
os.chdir(tempfile.mkdtemp())  # it keeps presets where it runs

from ipycam import CameraConfig, PTZController  # noqa: E402
from ipycam.discovery import WSDiscoveryServer  # noqa: E402
from ipycam.http import IPCameraHTTPHandler  # noqa: E402
from ipycam.onvif import ONVIFService  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--address", default="127.0.0.1")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--user", default="")
parser.add_argument("--password", default="")
parser.add_argument("--rtsp-port", type=int, default=8554)
parser.add_argument("--names", nargs=2, default=["camera", "sub"])
parser.add_argument("--discovery", action="store_true")
options = parser.parse_args()
logging.disable(logging.CRITICAL)


class Told:
    """Prints what the head is told."""

    def on_continuous_move(self, pan_speed, tilt_speed, zoom_speed):
        print("move", round(pan_speed, 3), round(tilt_speed, 3), round(zoom_speed, 3), flush=True)

    def on_stop(self):
        print("stop", flush=True)

    def on_absolute_move(self, pan, tilt, zoom):
        print("absolute", pan, tilt, zoom, flush=True)

    def on_relative_move(self, pan_delta, tilt_delta, zoom_delta):
        print("relative", pan_delta, tilt_delta, zoom_delta, flush=True)

    def on_goto_preset(self, token, pan, tilt, zoom):
        print("preset", token, flush=True)

    def on_goto_home(self):
        print("home", flush=True)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server((options.address, options.port), IPCameraHTTPHandler)
config = CameraConfig(
    local_ip=options.address,
    onvif_port=server.server_address[1],
    rtsp_port=options.rtsp_port,
    username=options.user,
    password=options.password,
    main_stream_name=options.names[0],
    sub_stream_name=options.names[1],
)
head = PTZController(output_width=1920, output_height=1080)
head.add_hardware_handler(Told())
camera = types.SimpleNamespace(config=config, onvif=ONVIFService(config, head), ptz=head)
IPCameraHTTPHandler.camera = camera
threading.Thread(target=server.serve_forever, daemon=True).start()
if options.discovery:
    WSDiscoveryServer(camera.onvif).start()
print("port", server.server_address[1], flush=True)
sys.stdin.read()
os._exit(0)
