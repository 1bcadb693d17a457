"""The WSDL-validating client `onvif-python` against a running device: HOST PORT USER SECRET.

It owns the module name `onvif` as our own client library does, so it lives in an environment of
its own: ``python -m venv X && X/bin/pip install onvif-python && X/bin/python onvif_python.py ...``.
Ends with what it could not do; prints each answer's size.
"""

import sys

from onvif import ONVIFClient

host, port, user, secret = sys.argv[1:5]
failed = []


def ask(name, call):
    try:
        print(name, len(str(call())), flush=True)
    except Exception as err:  # noqa: BLE001 - what it is does not matter, that it is does
        failed.append(f"{name}: {err!r}")


client = ONVIFClient(host, int(port), user, secret)
device, media, ptz = client.devicemgmt(), client.media(), client.ptz()
token = media.GetProfiles()[0].token
for name in ("GetDeviceInformation", "GetCapabilities", "GetScopes", "GetNetworkInterfaces", "GetRelayOutputs", "GetUsers"):
    ask(name, getattr(device, name))
ask("GetServices", lambda: device.GetServices(IncludeCapability=True))
ask("GetStreamUri", lambda: media.GetStreamUri(StreamSetup={"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}, ProfileToken=token))
ask("GetSnapshotUri", lambda: media.GetSnapshotUri(ProfileToken=token))
two = client.media2()
ask("Media2 GetProfiles", lambda: two.GetProfiles(Type=["All"]))
ask("Media2 GetStreamUri", lambda: two.GetStreamUri(Protocol="RTSP", ProfileToken=token))
ask("GetNodes", ptz.GetNodes)
ask("ContinuousMove", lambda: ptz.ContinuousMove(ProfileToken=token, Velocity={"PanTilt": {"x": 0.2, "y": 0}}))
ask("Stop", lambda: ptz.Stop(ProfileToken=token))
ask("GetPresets", lambda: ptz.GetPresets(ProfileToken=token))
ask("GetOSDs", media.GetOSDs)
ask("GetOSDOptions", lambda: media.GetOSDOptions(ConfigurationToken="dome"))
ask("Media2 GetOSDs", two.GetOSDs)
ask("GetConfigurationOptions", lambda: ptz.GetConfigurationOptions(ConfigurationToken="dome"))
ask("AbsoluteMove", lambda: ptz.AbsoluteMove(ProfileToken=token, Position={"PanTilt": {"x": 0.1, "y": -0.1}}))
ask("GetStatus", lambda: ptz.GetStatus(ProfileToken=token))
ask("GetDigitalInputs", client.deviceio().GetDigitalInputs)
for line in failed:
    print("failed", line, flush=True)
sys.exit(bool(failed))
