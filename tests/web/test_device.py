"""How a device of the box is used, over the page's API."""

from tests.web.box import Box

PATH = "/api/camera/yard/capture"


async def test_a_device_is_used_otherwise_and_what_it_has_not_is_refused(box: Box) -> None:
    box.parts.captures.camera = "yard"
    await box.user("op", "operator", {"yard": ["live", "playback"]})
    async with box.client() as client:
        await client.log_in("owner")
        assert (await client.ask("GET", "/api/camera/gate/capture"))[1]["capture"] is None
        assert (await client.ask("PUT", "/api/camera/gate/capture", {}))[1]["code"] == (
            "capture.refused"
        )
        _, seen, _ = await client.ask("GET", PATH)
        assert seen["capture"]["controls"] == {}
        assert seen["device"]["controls"][1]["choices"] == [
            [1, "Manual Mode"],
            [3, "Aperture Priority Mode"],
        ]
        assert seen["sound"] == [{"name": "CARD=Webcam,DEV=0", "title": "HD Webcam: USB Audio"}]
        wanted = {"format": "yuyv", "aspect": "16:9", "controls": {"brightness": 20}}
        status, seen, _ = await client.ask("PUT", PATH, wanted)
        assert status == 200
        assert {key: seen["capture"][key] for key in wanted} == wanted
        for bad, what, has in (
            ({"input": "S-Video"}, "S-Video", "Camera 1"),
            ({"standard": "pal"}, "PAL", ""),
            ({"size": [640, 481]}, "auto 640x481", "MJPG 1920x1080, YUYV 640x480"),
            ({"controls": {"brightness": 65}}, "brightness 65", "-64-64"),
            ({"alsa": "CARD=None,DEV=0"}, "CARD=None,DEV=0", "CARD=Webcam,DEV=0"),
        ):
            status, told, _ = await client.ask("PUT", PATH, bad)
            assert (status, told["code"]) == (409, "capture.refused"), bad
            assert (told["context"]["what"], told["context"]["has"]) == (what, has)
        assert (await client.ask("PUT", PATH, {"controls": {"a": "b"}}))[0] == 400
        assert (await client.ask("GET", PATH))[1]["capture"]["format"] == "yuyv"
        await client.log_in("op")
        assert (await client.ask("GET", PATH))[0] == 403
        assert (await client.ask("PUT", PATH, wanted))[0] == 403
