"""How a camera is reached, over the page's API."""

import dataclasses

from nvr.media.transport import Carried, ReachSettings
from tests.web.box import Box

PIN = "AB:" * 31 + "cd"


async def test_transport_and_certificate_are_seen_and_changed(box: Box) -> None:
    await box.user("op", "operator", {"gate": ["live", "playback"]})
    cameras = box.parts.cameras
    carried = Carried("udp", "tcp", "refused")
    cameras.states["gate"] = dataclasses.replace(cameras.states["gate"], carried=carried)
    async with box.client() as client:
        await client.log_in("owner")
        path, want = "/api/camera/gate/reach", dataclasses.asdict(carried)
        _, told, _ = await client.ask("GET", path)
        assert (told["transport"], told["tls_pin"], told["tls_ca"]) == ("auto", "", "")
        assert told["main"] == {"carried": want, "certificate_sha256": "ab" * 32}
        assert told["sub"] is None
        assert (await client.ask("GET", "/api/camera/gate"))[1]["carried"] == want
        _, told, _ = await client.ask("PUT", path, {"transport": "udp"})
        assert (told["transport"], told["tls_pin"]) == ("udp", "")
        _, told, _ = await client.ask("PUT", path, {"tls_pin": PIN})
        assert cameras.reaches["gate"] == ReachSettings("udp", PIN)
        _, told, _ = await client.ask("PUT", path, {"audio": False})
        assert (told["audio"], told["transport"]) == (False, "udp")
        for bad in ({"transport": "sctp"}, {"tls_pin": "ab"}, {"tls_ca": "/etc/shadow"}):
            status, told, _ = await client.ask("PUT", path, bad)
            assert (status, told["code"]) == (400, "body.invalid"), bad
        assert (await client.ask("GET", "/api/camera/nobody/reach"))[0] == 404
        await client.log_in("op")
        assert (await client.ask("GET", path))[0] == 403
        assert (await client.ask("PUT", path, {"transport": "tcp"}))[0] == 403
