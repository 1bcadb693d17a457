"""A recorder of nothing: the control stack as `nvr run` builds it, in a process of its own.

Reads one JSON command a line and answers each with the time it was carried out at.
"""

import asyncio
import json
import logging
import sys
import time
from pathlib import Path

from nvr.base.clock import SystemClock
from nvr.base.errors import NvrError
from nvr.base.log import set_up
from nvr.gpio.output import Outputs, Wiring
from nvr.hal.virtual_output import VirtualOutput
from nvr.hal.virtual_serial import VirtualSerial
from nvr.media.ports import Operator
from nvr.ptz.bus import Bus, BusEvent
from nvr.ptz.controller import Controller
from nvr.ptz.guard_link import GuardLink
from nvr.ptz.heads import Mount
from nvr.ptz.pelco import Aux, Pelco
from nvr.ptz.preset import PresetBook

WHO = Operator("tester", "operator", "page/1")


async def serve(port: str, relays: str, heads: int, lamp: str) -> None:
    clock = SystemClock()
    guard = GuardLink(clock)
    guard.start()
    loop = asyncio.get_running_loop()

    def opened(name: str) -> VirtualOutput:
        output = VirtualOutput(relays, name)
        output.set(False)
        return output

    outputs = Outputs(
        [Wiring(name, lambda _safe, name=name: opened(name)) for name in ("wiper", "lamp")],
        clock=clock,
        guard=guard,
    )

    def tell(event: BusEvent) -> None:
        loop.call_soon_threadsafe(lambda: controller.bus_event(event))

    bus = Bus("ptz", lambda: VirtualSerial(port), clock=clock, guard=guard, tell=tell)
    controller = Controller(
        [
            Mount(
                f"dome{n}",
                bus,
                Pelco(address=n),
                {"wiper": "wiper", "lamp": Aux(2, 600.0) if lamp == "aux" else "lamp"},
            )
            for n in range(1, heads + 1)
        ],
        switches=outputs,
        presets=PresetBook(Path(relays).with_name("presets.json")),
        clock=clock,
        audit=lambda *_: None,
        save=lambda job: job(),
    )
    outputs.start()
    bus.start()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"guard": guard.pid}), flush=True)
    try:
        while line := await reader.readline():
            order = json.loads(line)
            ask = order.pop("ask")
            answer: dict[str, object] = {"at_s": time.monotonic()}
            try:
                if ask == "status":
                    status = controller.status(**order)
                    answer |= {"moving": status.moving, "rearm": status.rearm}
                    if lamp == "aux":
                        answer["lamp"] = dict(status.outputs)["lamp"]
                else:
                    getattr(controller, ask)(who=WHO, **order)
            except NvrError as err:
                answer["code"] = err.code
            print(json.dumps(answer), flush=True)
    finally:
        bus.close()
        outputs.close()
        guard.close()


if __name__ == "__main__":
    set_up(logging.WARNING)
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
