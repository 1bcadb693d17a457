"""A shipped recorder has an ONVIF camera write a caption and hide a mask, and loses both.

    python -m tests.faults.drawn [--json]

Met if the caption is read back cut as the camera cut it, the mask counts after it was read back
twice, what the camera tells is kept, and the mask counts no more once the camera forgot it.
"""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.app.box import running_box
from tests.peers.odd_drawing import Drawing
from tests.peers.odd_onvif import event, odd_device

CAPTION = {
    "lines": ["临江路与东门街", "{date} {hms}"],
    "position_permille": [20, 30],
    "size_permille": 42,
    "mode": "outline",
}
MASK = {"masks": [{"points_permille": [[0, 0], [300, 0], [300, 300]]}]}


async def prove(directory: Path) -> dict[str, Any]:
    """Run it once; returns what was seen."""
    drawing, yard = Drawing(cut=4), "/api/camera/yard"
    async with (
        odd_device(media2=True, drawing=drawing) as device,
        running_box(directory, "# cameras may be here") as box,
    ):
        url = f"rtsp://127.0.0.1:{box.dome_port}/dome?yard"  # to the box, no dome of its own
        login = {"user": "admin", "password": "right"}
        body = {"name": "yard", "title": "院子", "url": url, **login}
        await box.call("POST", "/api/camera", body, status=201)
        await box.call("PUT", f"{yard}/onvif", {"address": f"127.0.0.1:{device.port}"})
        await box.call("PUT", f"{yard}/caption", CAPTION)
        await box.call("PUT", f"{yard}/mask", MASK)
        await box.until("yard", "caption_drawn", lambda it: it and it["state"] == "partly", 60)
        await box.until("yard", "masks_burned", lambda burned: burned, 90)
        remarks = (await box.call("GET", yard))["caption_drawn"]["remarks"]
        device.events.append(event("VideoSource/MotionAlarm", "Source", "State", "true"))
        await box.until("yard", "happening", lambda it: it and it[0]["source"] == "camera", 60)
        drawing.forget()
        await box.until("yard", "masks_burned", lambda burned: not burned, 90)
        await box.until("yard", "masks_burned", lambda burned: burned, 90)
        told = [one["code"] for one in remarks]
        return {"remarks": told, "writes": drawing.writes, "met": told == ["osd.cut"]}


def main() -> None:
    """Print what was seen as a line of JSON."""
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(prove(Path(directory)))
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
