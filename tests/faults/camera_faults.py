"""A camera and a wire that fail in every way, and what the recorder makes of it.

A GStreamer camera stands behind a wire that loses, delays, spoils, holds back, half closes and
resets, and is itself killed, restarted, and exchanged for one with another codec or size, also in
the middle of a connection. Measured on the recording: how long after the camera is back its
pictures are recorded again. Two other cameras must lose nothing by it. Then connections are reset
as soon as pictures came, a thousand times, and the recorder must not grow.
"""

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.bench import figures
from tests.bench.figures import at_least, at_most
from tests.bench.recorder import Page, Recorder, recorder, scratch
from tests.faults.proxy import Proxy, proxy

ROOT = figures.ROOT
AWAY_S = 6.0
MANY = 12
IDLE_S = 40.0
CUT_AFTER_S = 0.6
HANGS_S = 15.0
LIMITS = {
    "max_recovery_s": at_most(5.0, "a camera that is back is recorded again within five seconds"),
    "codec_spliced_s": at_most(20.0, "a codec changed under a connection is noticed and mended"),
    "others_lost": at_most(0, "packets of other cameras, while one fails"),
    "others_reconnects": at_most(0, "one camera's trouble is no other's"),
    "others_gaps": at_most(0, "and nothing of them is missing in the recording"),
    "bugs": at_most(0, "nothing a camera does is a bug of ours"),
    "wrong_states": at_most(0, "what was wrong is said, by the right code"),
    "reconnects": at_least(1, "done"),
    "files_grown": at_most(0, "no socket is left open"),
    "threads_grown": at_most(0, "no thread is left running"),
    "tasks_grown": at_most(0, "no task is left running"),
    "rss_kib_per_100": at_most(
        300,
        "of 100 gaps their notes, spans and index are kept as long as the recording: 1 KiB each",
    ),
}


class GstCamera:
    """A GStreamer RTSP server in a process of its own, started as often as one likes.

    Attributes:
        port: Where it listens; the same after each start.
    """

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self, kind: str = "h264", size: str = "320x180") -> None:
        """Start it, and return when it listens."""
        words = ["/usr/bin/python3", str(ROOT / "tests/peers/gst_camera.py"), kind]
        words += ["--port", str(self.port), "--size", size]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("port"), line
        self.port = int(line.split()[1])

    def revive(self, *, hangs: bool) -> bool:
        """Start it again if it died or hangs, as GStreamer's server does after many clients."""
        if self._process is None or (self._process.poll() is None and not hangs):
            return False
        self.kill()
        self.start()
        return True

    def kill(self) -> None:
        """Kill it, as a camera whose power fails."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def gst_camera() -> Iterator[GstCamera]:
    """Have a camera until the block ends."""
    camera = GstCamera()
    camera.start()
    try:
        yield camera
    finally:
        camera.kill()


@dataclass
class Result:
    """What was found.

    Attributes:
        recovery_s: By scene: from the camera's return to the first of its pictures recorded.
        more: Other figures.
        failures: The first of what went wrong, in words.
    """

    recovery_s: dict[str, float] = field(default_factory=dict)
    more: dict[str, figures.Figure] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    wrong_states: int = 0

    def wrong(self, what: str) -> None:
        self.wrong_states += 1
        if len(self.failures) < 12:
            self.failures.append(what)


def now_us() -> int:
    return time.time_ns() // 1000


@dataclass
class Scene:
    """A recorder with ``c0`` behind the wire, and ``c1`` and ``c2`` that nobody touches."""

    page: Page
    camera: GstCamera
    spare: GstCamera
    wire: Proxy
    result: Result

    def one(self, name: str = "c0") -> Any:
        return self.page.call("GET", f"/api/camera/{name}")

    def health(self, name: str = "c0") -> Any:
        return self.page.call("GET", f"/api/camera/{name}/health")["main"]

    def until(self, what: str, true: Callable[[], bool], timeout_s: float = 60.0) -> None:
        until_s = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > until_s:
                raise TimeoutError(f"never came: {what}; {self.health()['health']}")
            time.sleep(0.1)

    def recorded(self, after_us: int, name: str = "c0") -> None:
        """Wait until what comes after `after_us` is recorded."""
        self.until(
            f"a recording of {name}",
            lambda: int(self.one(name)["recorded_until_us"]) > after_us + 500_000,
        )

    def recovery_s(self, from_us: int, back_us: int) -> float:
        """Seconds from `back_us` to the first picture recorded from then on."""
        self.recorded(back_us)
        path = f"/api/camera/c0/ranges?from_us={from_us}&to_us={now_us()}"
        runs = sorted((r["from_us"], r["to_us"]) for r in self.page.call("GET", path)["runs"])
        after = [max(a, back_us) for a, b in runs if b > back_us]
        return (min(after) - back_us) / 1e6

    def codes(self) -> set[str]:
        """What was the matter, as far as is remembered."""
        return {code for spell in self.health()["spells"] for code in spell["codes"]}

    def expect(self, scene: str, *codes: str, timeout_s: float = 40.0) -> None:
        """Note as wrong if none of `codes` is said within a time."""
        try:
            self.until(" or ".join(codes), lambda: bool(self.codes() & set(codes)), timeout_s)
        except TimeoutError as err:
            self.result.wrong(f"{scene}: {err}")

    def failed(self, scene: str, fail: Callable[[], object], mend: Callable[[], object]) -> None:
        """Have the camera fail, come back after a while, and measure."""
        from_us = now_us()
        fail()
        time.sleep(AWAY_S)
        self.until("that it is missed", lambda: self.one()["health"]["state"] == "lost")
        mend()
        self.result.recovery_s[scene] = self.recovery_s(from_us, now_us())
        figures.progress(f"{scene}: recorded again after {self.result.recovery_s[scene]:.2f} s")


def restarted(scene: Scene) -> None:
    scene.failed("restarted", scene.camera.kill, scene.camera.start)


def another_codec(scene: Scene) -> None:
    scene.failed("another_codec", scene.camera.kill, lambda: scene.camera.start("h265"))
    if (codec := scene.one()["codec"]) != "h265":
        scene.result.wrong(f"another_codec: the API says {codec}")
    scene.failed("codec_back", scene.camera.kill, scene.camera.start)


def another_size(scene: Scene) -> None:
    def larger() -> None:
        scene.camera.start("h264", "640x360")

    scene.failed("another_size", scene.camera.kill, larger)
    if (width := scene.one()["width_px"]) != 640:
        scene.result.wrong(f"another_size: the API says {width}")
    scene.failed("size_back", scene.camera.kill, scene.camera.start)


def refused(scene: Scene) -> None:
    scene.failed("refused", scene.wire.close_listener, scene.wire.open_listener)


def cable(scene: Scene) -> None:
    def hold() -> None:
        scene.wire.faults.hold = True

    scene.failed("cable_pulled", hold, scene.wire.clear)


def reset(scene: Scene) -> None:
    """The camera is there all the time: from the reset on."""
    at_us = now_us()
    scene.wire.reset()
    scene.result.recovery_s["reset"] = _gap_s(scene, at_us)


def half_closed(scene: Scene) -> None:
    at_us = now_us()
    scene.wire.half_close()
    scene.result.recovery_s["half_closed"] = _gap_s(scene, at_us)


def garbage(scene: Scene) -> None:
    at_us = now_us()
    scene.wire.garbage(b"\x00\xff garbage\r\n" * 7000)  # less is passed over
    scene.result.recovery_s["garbage"] = _gap_s(scene, at_us)
    scene.expect("garbage", "camera.garbage")


def _gap_s(scene: Scene, at_us: int) -> float:
    """The same, once it was connected anew."""
    connections = scene.health()["counters"]["reconnects"]
    scene.until(
        "another connection",
        lambda: (
            scene.health()["counters"]["reconnects"] > connections
            or scene.one()["health"]["state"] == "recording"
        ),
    )
    time.sleep(1.0)
    scene.recorded(now_us())
    return _hole_s(scene, at_us)


def _hole_s(scene: Scene, at_us: int) -> float:
    """The longest time that is missing in the recording since `at_us`."""
    path = f"/api/camera/c0/ranges?from_us={at_us - 2_000_000}&to_us={now_us()}"
    runs = sorted((r["from_us"], r["to_us"]) for r in scene.page.call("GET", path)["runs"])
    missing = [b[0] - a[1] for a, b in itertools.pairwise(runs)]
    figures.progress(f"missing {max(missing, default=0) / 1e6:.2f} s")
    return max([0, *missing]) / 1e6


def deaf(scene: Scene) -> None:
    """The camera hears nothing any more, and sends on: no reason to stop."""
    before = scene.health()["counters"]["reconnects"]
    scene.wire.faults.deaf = True
    time.sleep(AWAY_S)
    scene.wire.clear()
    scene.result.more["deaf_reconnects"] = scene.health()["counters"]["reconnects"] - before


def lossy(scene: Scene) -> None:
    """Loss is counted, said, and no reason to connect anew."""
    before = scene.health()["counters"]
    scene.wire.counts.dropped = 0
    scene.wire.faults.drop = 0.05
    scene.expect("lossy", "camera.loss")
    scene.wire.clear()
    time.sleep(3.0)
    after = scene.health()["counters"]
    lost, dropped = after["lost"] - before["lost"], scene.wire.counts.dropped
    scene.result.more["lossy_counted_off"] = abs(lost - dropped)
    if after["reconnects"] != before["reconnects"] or abs(lost - dropped) > 2:
        scene.result.wrong(f"lossy: {dropped} dropped, {lost} counted, {after} after {before}")


def late(scene: Scene) -> None:
    """Delay and jitter lose nothing, and jitter is measured."""
    before = scene.health()["counters"]
    scene.wire.faults.jitter_s = 0.4
    worst = 0.0
    for _ in range(10):
        time.sleep(1.0)
        worst = max(worst, scene.health()["rates"]["jitter_ms"] or 0.0)
    scene.wire.clear()
    after = scene.health()["counters"]
    scene.result.more["late_jitter_ms"] = worst
    if (after["lost"], after["reconnects"]) != (before["lost"], before["reconnects"]):
        scene.result.wrong(f"late: {after} after {before}")
    if worst < 150:
        scene.result.wrong(f"late: a jitter of 400 ms is measured as {worst} ms")


def corrupt(scene: Scene) -> None:
    """Turned bits are recorded as they come; nothing breaks."""
    before = scene.health()["counters"]["reconnects"]
    scene.wire.faults.corrupt = 0.2
    time.sleep(AWAY_S)
    scene.wire.clear()
    at_us = now_us()
    scene.recorded(at_us)
    scene.result.more["corrupt_reconnects"] = scene.health()["counters"]["reconnects"] - before


def size_spliced(scene: Scene) -> None:
    """Another size under the same connection: goes on with the next key frame."""
    at_us = now_us()
    scene.wire.splice(scene.spare.port, "sub")
    scene.until("the other size", lambda: scene.one()["width_px"] == 160)
    scene.recorded(now_us())
    scene.result.recovery_s["size_spliced"] = _hole_s(scene, at_us)
    scene.wire.reset()
    scene.until("the first size", lambda: scene.one()["width_px"] == 320)


def codec_spliced(scene: Scene) -> None:
    """H.265 under a connection set up for H.264: its pictures look like pictures, but for keys."""
    scene.spare.kill()
    scene.spare.start("h265")
    before = scene.health()["counters"]["reconnects"]
    at_us = now_us()
    scene.wire.splice(scene.spare.port)
    scene.until(
        "that it is connected anew",
        lambda: (
            scene.health()["counters"]["reconnects"] > before
            and scene.one()["health"]["state"] != "lost"
        ),
        60,
    )
    scene.recorded(now_us())
    scene.result.more["codec_spliced_s"] = round((now_us() - at_us) / 1e6, 2)
    scene.spare.kill()
    scene.spare.start()


SCENES: dict[str, Callable[[Scene], None]] = {
    each.__name__: each
    for each in (
        restarted, reset, refused, cable, half_closed, garbage, deaf, lossy, late, corrupt,
        another_codec, another_size, size_spliced, codec_spliced,
    )
}  # fmt: skip


def faults(result: Result, names: list[str]) -> None:
    """Play scenes, and see what becomes of the camera and of the others."""
    with (
        gst_camera() as camera,
        gst_camera() as spare,
        gst_camera() as other,
        proxy(camera.port) as wire,
        scratch() as directory,
    ):
        urls = [wire.url(), *(f"rtsp://127.0.0.1:{other.port}/{way}" for way in ("camera", "sub"))]
        with recorder(urls, directory, size_mib=512) as box, _page(box) as page:
            scene = Scene(page, camera, spare, wire, result)
            begun_us = _all_recorded(scene, 3)
            try:
                for name in names:
                    figures.progress(name)
                    SCENES[name](scene)
                    wire.clear()
                    scene.recorded(now_us())
            except TimeoutError as err:
                result.wrong(f"{name}: {err}")
            _others(scene, ("c1", "c2"), begun_us)
            _bugs(box, result)


def reconnects(result: Result, count: int, cameras: int = MANY) -> None:
    """Reset connections as soon as pictures came, `count` times in all."""
    with (
        gst_camera() as camera,
        gst_camera() as other,
        proxy(camera.port) as wire,
        scratch() as directory,
    ):
        urls = [wire.url()] * cameras
        urls += [f"rtsp://127.0.0.1:{other.port}/{way}" for way in ("camera", "sub")]
        with recorder(urls, directory, size_mib=512) as box, _page(box) as page:
            scene = Scene(page, camera, other, wire, result)
            begun_us = _all_recorded(scene, len(urls))
            _cut(scene, min(count // 10, 10 * cameras), [])  # what is allocated once, is now
            before = _grown(scene, len(urls))
            idle = _idle_kib_s(scene)
            samples: list[tuple[float, float]] = []
            began_s = time.monotonic()
            done = _cut(scene, count, samples)
            took_s = time.monotonic() - began_s
            after = _grown(scene, len(urls))
            result.more |= {
                "reconnects": done,
                "reconnects_s": round(took_s, 1),
                "files_grown": after["files"] - before["files"],
                "threads_grown": after["threads"] - before["threads"],
                "tasks_grown": after["tasks"] - before["tasks"],
                "rss_before_kib": before["rss_kib"],
                "rss_after_kib": after["rss_kib"],
                "rss_kib_per_min_idle": round(idle * 60, 1),
                # Recording itself keeps the index of what it records.
                "rss_kib_per_100": round((_slope(samples) - idle * took_s / done) * 100, 1),
            }
            _others(scene, (f"c{cameras}", f"c{cameras + 1}"), begun_us)
            _bugs(box, result)


def _idle_kib_s(scene: Scene) -> float:
    """Growth of memory in a second while nothing happens but recording."""
    samples: list[tuple[float, float]] = []
    until_s = time.monotonic() + IDLE_S
    while time.monotonic() < until_s:
        samples.append((time.monotonic(), _numbers(scene.page)["nvr_resident_bytes"] / 1024))
        time.sleep(1.0)
    return max(0.0, _slope(samples))


def _cut(scene: Scene, count: int, samples: list[tuple[float, float]]) -> int:
    """Have `count` connections reset; samples are of memory in KiB at a number of them."""
    wire = scene.wire
    begun, next_s = wire.counts.cut, 0.0
    seen, moved_s = begun, time.monotonic()
    wire.faults.cut_after_s = CUT_AFTER_S
    while wire.counts.cut - begun < count:
        time.sleep(0.2)
        if wire.counts.cut != seen:
            seen, moved_s = wire.counts.cut, time.monotonic()
        if scene.camera.revive(hangs=time.monotonic() - moved_s > HANGS_S):
            moved_s = time.monotonic()
            again = int(scene.result.more.get("camera_revived") or 0) + 1
            scene.result.more["camera_revived"] = again
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + 2.0
            done = wire.counts.cut - begun
            samples.append((done, _numbers(scene.page)["nvr_resident_bytes"] / 1024))
            figures.progress(f"{done} reconnects, {samples[-1][1] / 1024:.1f} MiB")
    wire.clear()
    return wire.counts.cut - begun


def _slope(samples: list[tuple[float, float]]) -> float:
    """Growth for each reconnect, by a line through the second half of the samples."""
    late = samples[len(samples) // 2 :]
    if len(late) < 2:
        return 0.0
    mean_x, mean_y = (sum(column) / len(late) for column in zip(*late, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in late)
    return sum((x - mean_x) * (y - mean_y) for x, y in late) / spread if spread else 0.0


def _grown(scene: Scene, cameras: int) -> dict[str, int]:
    """What the recorder holds while all cameras are recorded and nothing happens."""
    at_us = now_us()
    for number in range(cameras):
        scene.recorded(at_us, f"c{number}")
    seen: list[dict[str, float]] = []
    for _ in range(5):
        time.sleep(1.0)
        seen.append(_numbers(scene.page))
    return {
        "files": int(min(each["nvr_open_files"] for each in seen)),
        "threads": int(min(each["nvr_threads"] for each in seen)),
        "tasks": int(min(each["nvr_tasks"] for each in seen)),
        "rss_kib": int(min(each["nvr_resident_bytes"] for each in seen) / 1024),
    }


def _numbers(page: Page) -> dict[str, float]:
    _, text = page.fetch("GET", "/metrics")
    lines = (line.split() for line in text.decode().splitlines() if not line.startswith("#"))
    return {line[0]: float(line[1]) for line in lines if "{" not in line[0]}


def _all_recorded(scene: Scene, cameras: int) -> int:
    for number in range(cameras):
        scene.recorded(now_us() - 2_000_000, f"c{number}")
    return now_us()


def _others(scene: Scene, names: tuple[str, ...], begun_us: int) -> None:
    result, lost, again, gaps = scene.result, 0, 0, 0
    for name in names:
        counters = scene.health(name)["counters"]
        lost += counters["lost"]
        again += counters["reconnects"]
        path = f"/api/camera/{name}/ranges?from_us={begun_us}&to_us={now_us() - 3_000_000}"
        found = scene.page.call("GET", path)
        gaps += len(found["gaps"]) + len(found["runs"]) - 1
    for key, value in (("lost", lost), ("reconnects", again), ("gaps", gaps)):
        result.more[f"others_{key}"] = int(result.more.get(f"others_{key}") or 0) + value


def _bugs(box: Recorder, result: Result) -> None:
    text = box.log.read_text(errors="replace")
    found = text.count("Traceback") + text.count("internal.bug")
    result.more["bugs"] = int(result.more.get("bugs") or 0) + found
    if found:
        result.failures.append(text[text.find("Traceback") :][:2000])


@contextmanager
def _page(box: Recorder) -> Iterator[Page]:
    with contextlib.closing(Page(box.page_port, box.claim)) as page:
        yield page


def figures_of(result: Result) -> dict[str, figures.Figure]:
    """Return everything measured, in the order in which it is told."""
    each = {f"{name}_s": round(value, 2) for name, value in result.recovery_s.items()}
    worst = max(each.values(), default=None)
    return {"max_recovery_s": worst, **each, "wrong_states": result.wrong_states, **result.more}


def main(arguments: list[str] | None = None) -> int:
    """Run the harness."""
    assert __doc__ is not None
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--reconnects", type=int, default=1000, help="how many in all")
    parser.add_argument("--scene", action="append", choices=SCENES, help="only these")
    chosen = parser.parse_args(arguments)
    result = Result()
    faults(result, chosen.scene or list(SCENES))
    limits = dict(LIMITS)
    if chosen.reconnects:
        reconnects(result, chosen.reconnects)
        limits["reconnects"] = at_least(chosen.reconnects, "done")
    else:
        for name in ("reconnects", "files_grown", "threads_grown", "tasks_grown"):
            del limits[name]
        del limits["rss_kib_per_100"]
    if chosen.scene and "codec_spliced" not in chosen.scene:
        del limits["codec_spliced_s"]
    return figures.report(
        "camera_faults", figures_of(result), limits, as_json=chosen.json, notes=result.failures
    )


if __name__ == "__main__":
    sys.exit(main())
