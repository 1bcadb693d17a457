"""`nvr run` as a whole with outputs, inputs and a watchdog, killed and ended."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from nvr.sim import launch
from tests.app.box import NAME, PASSWORD, ROOT, RunningBox, running_box
from tests.app.test_watchdog import DOG

ALL = ("wiper", "washer", "lamp", "siren", "gate")


async def until(holds: Callable[[], object], timeout_s: float = 20.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not (found := holds()):
        assert time.monotonic() < end_s, found
        await asyncio.sleep(0.02)


def on(box: RunningBox) -> set[str]:
    told = launch.ask(box.data / "sim", {"get": True})
    relays = {"wiper": told["wiper"], "lamp": told["lamp"], **told["relays"]}
    return {name for name, level in relays.items() if level}


async def test_the_wiper_of_a_dome_is_washed_with_what_the_board_says(tmp_path: Path) -> None:
    async with running_box(tmp_path) as box:
        assert (await box.camera("dome"))["ptz"]["washer"] is True
        await box.call("POST", "/api/camera/dome/wipe", {"program": "wash", "strokes": 2})
        await until(lambda: "washer" in on(box))
        await until(lambda: on(box) >= {"wiper"} and "washer" not in on(box))
        await until(lambda: not on(box) & {"wiper", "washer"})
        # A dome whose wiper is its own has none.
        own = {"bus": "ptz", "wiper": {"aux": 1}}
        await box.call("PUT", "/api/camera/dome/ptz", own)
        assert (await box.camera("dome"))["ptz"]["washer"] is False
        wash = {"program": "wash", "strokes": 2}
        refused = await box.call("POST", "/api/camera/dome/wipe", wash, status=409)
        assert refused["code"] == "gpio.no_washer"
        # Until it is said what sprays for it; another one, for that still rests.
        told = await box.call("PUT", "/api/camera/dome/ptz", {**own, "washer": "lamp"})
        assert (told["ptz"]["washer"], told["ptz"]["wiper"]["aux"]) == ("lamp", 1)
        assert 'washer = "lamp"' in (box.data / "nvr.toml").read_text(encoding="utf-8")
        assert (await box.camera("dome"))["ptz"]["washer"] is True
        await box.call("POST", "/api/camera/dome/wipe", wash)
        await until(lambda: "lamp" in on(box))


async def test_killed_with_every_output_on_and_told_of_an_alarm(tmp_path: Path) -> None:
    async with running_box(tmp_path) as box:
        for name in ALL:
            await box.call("POST", f"/api/output/{name}", {"do": "on"})
        await until(lambda: on(box) >= {"wiper", "lamp", "siren"})
        (box.data / "sim/input/fence").write_text("0\n")
        now_us = time.time_ns() // 1000
        span = f"from_us={now_us - 10**7}&to_us={now_us + 10**8}"
        for _ in range(100):
            told = await box.call("GET", f"/api/camera/dome/event?{span}&kind=input")
            if told["happenings"]:
                break
            await asyncio.sleep(0.05)
        assert (told["happenings"][0]["kind"], told["happenings"][0]["zone"]) == ("input", "fence")
        camera = await box.camera("dome")
        assert {"input"} <= {one["kind"] for one in camera["happening"]}

        # The console asks the same recorder; a password on its standard input.
        words = [sys.executable, "-m", "nvr", "output", "--data", str(box.data), "--user", NAME]

        def run(*more: str) -> subprocess.CompletedProcess[str]:
            said = f"{PASSWORD}\n"
            return subprocess.run(
                [*words, *more], input=said, cwd=ROOT, capture_output=True, text=True, check=False
            )

        done = await asyncio.to_thread(run)
        assert done.returncode == 1, "an alarm is something to see to"
        assert [line.split()[1:4] for line in done.stdout.splitlines() if "fence" in line] == [
            ["fence", "nc", "alarm"]
        ]
        done = await asyncio.to_thread(run, "lamp", "off")
        assert done.returncode == 0, done.stderr
        await until(lambda: "lamp" not in on(box))
        done = await asyncio.to_thread(run, "nothing", "on")
        assert "gpio.unknown_output" in done.stderr

        await box.end(signal.SIGKILL)
        await until(lambda: on(box) == set(), 5)
        # What is left when the guard went with it is for `nvr safe`.
        launch.ask(box.data / "sim", {"output": "siren", "on": True})
        safe = [sys.executable, "-m", "nvr", "safe", str(box.board), "--data", str(box.data)]
        done = await asyncio.to_thread(
            subprocess.run, safe, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.splitlines()) == sorted(f"{name}: off" for name in ALL)
        assert on(box) == set()


async def test_a_box_feeds_its_watchdog_and_disarms_it_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "data/sim").mkdir(parents=True)
    pipe = tmp_path / "data/sim/dog"
    os.mkfifo(pipe)
    words = [sys.executable, "-c", DOG, str(pipe)]
    dog = await asyncio.to_thread(subprocess.Popen, words, stdout=subprocess.PIPE, text=True)
    try:
        box = RunningBox(tmp_path / "data")
        table = '\n[watchdog]\ndriver = "virtual"\ndevice = "dog"\ntimeout_s = 5\npatience_s = 5\n'
        box.board.write_text(box.board.read_text() + table)
        await box.start()
        await asyncio.to_thread(dog.stdout.readline)
        await asyncio.sleep(6)  # longer than its patience
        assert await box.end() == 0
        said = json.loads(await asyncio.to_thread(dog.stdout.readline))
        log = (tmp_path / "log").read_text()
        assert said["disarmed"] is True, log
        assert said["fed"] >= 3, log
        assert "watchdog.starved" not in log
        box.log.close()
    finally:
        dog.kill()
        dog.wait()
        dog.stdout.close()
        await asyncio.to_thread(launch.stop, tmp_path / "data/sim")
