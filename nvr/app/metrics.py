"""What the box counts, gathered when somebody asks: every number was there before.

Counters count from the start of the box, those of a camera added later from then.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from pathlib import Path
from typing import Protocol

from nvr import __version__
from nvr.analyse.worker import Health
from nvr.app.backfill import Filling, fetching
from nvr.app.intake import StreamCount
from nvr.app.vault import Vault
from nvr.app.volumes import Volumes
from nvr.app.wear import Wear
from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.hal.thermal import celsius
from nvr.media.camera import BoxState
from nvr.media.encoding import EncodingReport
from nvr.media.name import camera_of, which_of
from nvr.playback.holding import Holding
from nvr.playback.query import VolumeState
from nvr.record.pace import WriterState
from nvr.wire.openmetrics import Family


class Looking(Protocol):
    """See `nvr.app.analysis.Analysis`."""

    def health(self) -> Health:
        """How looking goes."""
        ...

    def objects(self) -> dict[tuple[str, str], int]:
        """How often each object was found at a camera, by its kind."""
        ...

    def going_on(self) -> list[tuple[str, str]]:
        """Camera and kind of what goes on."""
        ...


class Metrics:
    """Gathers families of samples.

    Args:
        clock: Time source.
        box: How the box does.
        streams: What is counted of each stream.
        volumes: The volumes.
        wear: How the disks are worn.
        readers: Credential and address of everybody who is connected over RTSP.
        sessions: Who is signed in on the page.
        looking: Who looks at pictures.
        encoding: How the encoders do.
        lines: Of outputs and inputs. See `nvr.app.line_metrics`.
        filling: How fetching from cameras' own storage does, by camera.
        refusals: How often the RTSP server refused something, by why.
    """

    def __init__(
        self,
        clock: Clock,
        box: BoxState,
        streams: Callable[[], Iterable[StreamCount]],
        volumes: Volumes,
        wear: Wear,
        readers: Callable[[], Collection[tuple[str, str]]],
        sessions: Sized,
        looking: Looking,
        encoding: Callable[[], EncodingReport] = EncodingReport,
        lines: Callable[[Callable[[str], bool]], list[Family]] = lambda _may: [],
        filling: Callable[[], Mapping[str, Filling]] = dict,
        refusals: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._clock = clock
        self._begun_s = clock.monotonic_s()
        self._box = box
        self._streams = streams
        self._volumes = volumes
        self._wear = wear
        self._readers = readers
        self._sessions = sessions
        self._looking = looking
        self._encoding = encoding
        self._lines = lines
        self._filling = filling
        self._refusals = refusals

    async def families(self, may: Callable[[str], bool]) -> list[Family]:
        """Return everything, of cameras only those that `may` lets be seen."""
        streams = [one for one in self._streams() if may(camera_of(one.stream))]
        found = [*self._of_box(), *self._of_streams(streams)]
        found += self._of_pictures(may)
        found += self._of_encoders(may)
        found += self._lines(may)
        found += fetching({n: it for n, it in self._filling().items() if may(n)})
        found += await asyncio.to_thread(self._of_volumes, may)
        tasks = Family("nvr_tasks", "gauge", "Of the recorder's event loop.")
        tasks.add(len(asyncio.all_tasks()))
        return [*found, *self._of_disks(), tasks, *await asyncio.to_thread(_of_machine)]

    def _of_box(self) -> list[Family]:
        build = Family("nvr_build", "info", "The program that runs.")
        build.add(1, version=__version__)
        up = Family("nvr_up_seconds", "gauge", "Since the box was started.", "seconds")
        up.add(self._clock.monotonic_s() - self._begun_s)
        clock = Family(
            "nvr_clock", "info", "How the wall clock is set: ntp, gb28181, rtc or unsynced."
        )
        state = self._box.clock_state()
        clock.add(1, state=state.state)
        doubt = Family(
            "nvr_clock_doubt_seconds", "gauge", "How far the wall clock may be off.", "seconds"
        )
        doubt.add(state.uncertainty_ms / 1000)
        fault = Family("nvr_fault", "info", "What keeps the box from recording.")
        if (wrong := self._box.fault()) is not None:
            fault.add(1, code=wrong.code)
        warning = Family("nvr_warning", "info", "What a person should see to.")
        for each in dict.fromkeys(one.code for one in self._box.warnings()):
            warning.add(1, code=each)
        readers = Family("nvr_rtsp_readers", "gauge", "Connections to the RTSP server.")
        readers.add(len(self._readers()))
        refused = Family(
            "nvr_rtsp_refused", "counter",
            "By why: the status of a request (each log-in begins with a 401), or of a connection.",
        )  # fmt: skip
        for why, count in sorted(self._refusals().items()):
            refused.add(count, why=why)
        sessions = Family("nvr_page_sessions", "gauge", "Sessions of people on the page.")
        sessions.add(len(self._sessions))
        return [build, up, clock, doubt, fault, warning, readers, refused, sessions]

    def _of_streams(self, streams: Iterable[StreamCount]) -> list[Family]:
        live = Family("nvr_camera_live", "gauge", "Pictures come: 1, else 0.")
        recorded = Family("nvr_camera_recording", "gauge", "It is recorded: 1, else 0.")
        age = Family(
            "nvr_camera_recorded_age_seconds",
            "gauge",
            "Since the end of what is durable.",
            "seconds",
        )
        gaps = Family("nvr_camera_gaps", "counter", "How often recording stopped, by cause.")
        connections = Family("nvr_camera_connections", "counter", "How often it was connected.")
        state = Family("nvr_camera_state", "gauge", "1 for the state it is in.")
        since = Family(
            "nvr_camera_state_since_timestamp_seconds", "gauge", "Of its begin.", "seconds"
        )
        trouble = Family("nvr_camera_trouble", "gauge", "1 for each thing that is the matter.")
        counts = {
            "bytes_in": Family("nvr_camera_received_bytes", "counter", "What came.", "bytes"),
            "packets": Family("nvr_camera_packets", "counter", "RTP packets."),
            "lost": Family("nvr_camera_packets_lost", "counter", "Missing by their numbers."),
            "reordered": Family("nvr_camera_packets_reordered", "counter", "Come too late."),
            "frames": Family("nvr_camera_frames", "counter", "Pictures."),
            "damaged": Family("nvr_camera_frames_damaged", "counter", "Of these not whole."),
            "keys": Family("nvr_camera_key_frames", "counter", "Of these key frames."),
            "restored": Family("nvr_camera_datagrams_restored", "counter", "Put into order."),
            "overrun": Family("nvr_camera_datagrams_overrun", "counter", "Read too late by us."),
        }
        rates = {
            "fps": (Family("nvr_camera_fps", "gauge", "Pictures per second."), 1.0),
            "bitrate_bps": (Family("nvr_camera_bitrate_bps", "gauge", "Bits per second."), 1.0),
            "loss_percent": (
                Family("nvr_camera_loss_ratio", "gauge", "Packets missing, of 30 s.", "ratio"),
                0.01,
            ),
            "gop_s": (
                Family("nvr_camera_gop_seconds", "gauge", "Between key frames.", "seconds"),
                1.0,
            ),
            "jitter_ms": (
                Family("nvr_camera_jitter_seconds", "gauge", "Of arrival, in 2 s.", "seconds"),
                0.001,
            ),
            "drift_ppm": (
                Family("nvr_camera_drift_ratio", "gauge", "Its clock against ours.", "ratio"),
                1e-6,
            ),
            "clock_offset_ms": (
                Family("nvr_camera_clock_offset_seconds", "gauge", "The same.", "seconds"),
                0.001,
            ),
        }
        now_us = self._clock.wall_us()
        for one in streams:
            about = {"camera": camera_of(one.stream), "stream": which_of(one.stream)}
            live.add(int(one.live), **about)
            recorded.add(int(one.recorded), **about)
            if one.recorded_until_us:
                age.add(max(0, now_us - one.recorded_until_us) / 1e6, **about)
            for cause, times in one.gaps.items():
                gaps.add(times, **about, cause=cause)
            connections.add(one.connections, **about)
            state.add(1, **about, state=one.health.state)
            since.add(one.health.since_us / 1e6, **about)
            for why in one.health.why:
                trouble.add(1, **about, code=why.code)
            for name, family in counts.items():
                family.add(getattr(one.counters, name), **about)
            for name, (family, unit) in rates.items():
                if (value := getattr(one.rates, name)) is not None:
                    family.add(value * unit, **about)
        first = [live, recorded, age, gaps, connections, state, since, trouble]
        return [*first, *counts.values(), *(family for family, _ in rates.values())]

    def _of_pictures(self, may: Callable[[str], bool]) -> list[Family]:
        health = self._looking.health()
        looked = Family("nvr_looked_cameras", "gauge", "Whose pictures are looked at.")
        looked.add(health.cameras)
        pictures = Family("nvr_looked_pictures", "counter", "Looked at.")
        pictures.add(health.pictures)
        cpu = Family("nvr_looked_cpu_seconds", "counter", "CPU time that took.", "seconds")
        cpu.add(health.cpu_s)
        deaths = Family("nvr_looked_deaths", "counter", "How often the sandbox ended.")
        deaths.add(health.deaths)
        slow = Family("nvr_looked_slow", "gauge", "Only key frames, the box is busy: 1, else 0.")
        slow.add(int(health.slow))
        searches = Family("nvr_object_searches", "counter", "Pictures searched for objects.")
        searches.add(health.searches)
        put_off = Family("nvr_object_put_off", "counter", "Left out, the budget being spent.")
        put_off.add(health.put_off)
        spent = Family("nvr_object_cpu_seconds", "counter", "CPU time searches took.", "seconds")
        spent.add(health.search_cpu_s)
        objects = Family("nvr_object_found", "counter", "How often it came.")
        for (camera, kind), times in self._looking.objects().items():
            if may(camera):
                objects.add(times, camera=camera, kind=kind)
        on = Family("nvr_camera_happening", "gauge", "What goes on in its picture.")
        for camera, kind in self._looking.going_on():
            if may(camera):
                on.add(1, camera=camera, kind=kind)
        return [looked, pictures, cpu, deaths, slow, searches, put_off, spent, objects, on]

    def _of_encoders(self, may: Callable[[str], bool]) -> list[Family]:
        report = self._encoding()
        works = Family("nvr_encoder_works", "gauge", "It has passed its trial: 1, else 0.")
        used = Family("nvr_encoder_streams", "gauge", "What it encodes now.")
        for one in report.encoders:
            works.add(int(one.state == "works"), encoder=one.name, codec=one.codec)
            used.add(one.used, encoder=one.name, codec=one.codec)
        pictures = Family("nvr_encoded_pictures", "counter", "Since its process began.")
        late = Family("nvr_encoded_late", "counter", "Pictures left out, the box being busy.")
        cpu = Family("nvr_encoded_cpu_seconds", "counter", "Capture to encoding.", "seconds")
        refused = Family("nvr_encoded_refused", "gauge", "No encoder for it, and why not.")
        for each in report.streams:
            camera = camera_of(each.stream)
            if not may(camera):
                continue
            if each.code:
                refused.add(1, camera=camera, stream=which_of(each.stream), code=each.code)
            for family, value in ((pictures, each.pictures), (late, each.late), (cpu, each.cpu_s)):
                family.add(value, camera=camera, stream=which_of(each.stream), encoder=each.encoder)
        return [works, used, pictures, late, cpu, refused]

    def _of_volumes(self, may: Callable[[str], bool]) -> list[Family]:
        families: dict[str, Family] = {}
        active = Family("nvr_volume_recording", "gauge", "It is recorded on: 1, else 0.")
        for vault in self._volumes.all:
            try:
                state, writer = vault.archive().volume(), vault.state()
            except NvrError:  # `nvr_fault` and `volumes` of the page say so
                continue
            if writer is None:
                continue
            volume = str(state.ring_id)
            active.add(int(vault is self._volumes.vault), volume=volume)
            for name, kind, about, unit, value in self._figures(vault, state, writer):
                family = Family(
                    f"nvr_volume_{name}", "counter" if kind == "counter" else "gauge", about, unit
                )
                families.setdefault(name, family).add(value, volume=volume)
        if not families:
            return []
        try:
            held, now = self._volumes.holdings(), str(self._volumes.volume().ring_id)
        except NvrError:
            return []
        return [active, *families.values(), *_of_holdings(held, may, now)]

    def _figures(
        self, vault: Vault, state: VolumeState, writer: WriterState
    ) -> Iterable[tuple[str, str, str, str, float]]:
        now_us = self._clock.wall_us()
        held_s = max(0, now_us - state.oldest_us) / 1e6 if state.oldest_us else 0.0
        return (
            ("size_bytes", "gauge", "Room of all blocks.", "bytes", state.size_bytes),
            ("wanted_bytes", "gauge", "Room there is to be.", "bytes", state.wanted_bytes),
            ("used_bytes", "gauge", "Room of blocks in use.", "bytes", state.used_bytes),
            ("locked_bytes", "gauge", "Room of locked blocks.", "bytes", state.locked_bytes),
            ("held_seconds", "gauge", "Age of the oldest recording.", "seconds", held_s),
            ("behind_seconds", "gauge", "What waits longest.", "seconds", writer.behind_s),
            ("slowest_flush_seconds", "gauge", "The slowest of the last 120 writes to the disk.",
             "seconds", writer.worst_group_s),
            ("flushes", "counter", "Writes to the disk that are durable.", "", writer.groups),
            ("parts", "counter", "Half seconds of a stream recorded.", "", writer.parts),
            ("recorded_bytes", "counter", "What was recorded.", "bytes", vault.recorded_bytes),
            ("dropped_parts", "counter", "Left out since the disk was behind.", "",
             writer.dropped_parts),
            ("refusals", "counter", "How often the disk refused something.", "", vault.refused[0]),
            ("blocks_aside", "gauge", "Blocks that the disk refuses.", "", vault.aside),
            ("damaged_parts", "gauge", "Found with wrong bytes.", "", vault.damaged),
        )  # fmt: skip

    def _of_disks(self) -> list[Family]:
        size = Family("nvr_disk_size_bytes", "gauge", "Of the disk.", "bytes")
        written = Family(
            "nvr_disk_written_bytes", "counter", "Written while it was watched.", "bytes"
        )
        life = Family("nvr_disk_life_used_ratio", "gauge", "What it says of its life.", "ratio")
        warm = Family("nvr_disk_temperature_celsius", "gauge", "What it says.", "celsius")
        worn = Family("nvr_disk_worn", "gauge", "It says that its life is nearly over: 1, else 0.")
        for disk in self._wear.report():
            about = {"disk": disk.name, "uses": "+".join(disk.uses)}
            size.add(disk.size_bytes, **about)
            written.add(disk.written_bytes, **about)
            worn.add(int(disk.worn), **about)
            if disk.life_percent is not None:
                life.add(disk.life_percent / 100, **about)
            if disk.celsius is not None:
                warm.add(disk.celsius, **about)
        return [size, written, life, warm, worn]


def _of_holdings(held: Iterable[Holding], may: Callable[[str], bool], volume: str) -> list[Family]:
    used = Family("nvr_held_bytes", "gauge", "Room of a stream's recordings.", "bytes")
    since = Family("nvr_held_since_timestamp_seconds", "gauge", "Of its oldest part.", "seconds")
    promised = Family("nvr_promised_seconds", "gauge", "How long it is to be kept.", "seconds")
    will = Family(
        "nvr_will_hold_seconds", "gauge", "How long it will be, once the disk is full.", "seconds"
    )
    for one in held:
        camera = camera_of(one.stream)
        if not may(camera):
            continue
        about = {"camera": camera, "stream": which_of(one.stream), "volume": volume}
        used.add(one.used_bytes, **about)
        since.add(one.from_us / 1e6, **about)
        promised.add(one.promised_s, **about)
        if one.holds_s:
            will.add(one.holds_s, **about)
    return [used, since, promised, will]


def _of_machine() -> list[Family]:
    load = Family("nvr_load", "gauge", "Processes that run or wait, on average.")
    for minutes, value in zip(("1", "5", "15"), os.getloadavg(), strict=True):
        load.add(value, minutes=minutes)
    warm = Family("nvr_temperature_celsius", "gauge", "What the board's kernel says.", "celsius")
    for zone, degrees in celsius().items():
        warm.add(degrees, zone=zone)
    spent = Family("nvr_cpu_seconds", "counter", "CPU time of the recorder.", "seconds")
    times = os.times()
    spent.add(times.user, mode="user")
    spent.add(times.system, mode="system")
    files = Family("nvr_open_files", "gauge", "Of the recorder, sockets among them.")
    files.add(len(os.listdir("/proc/self/fd")))
    threads = Family("nvr_threads", "gauge", "Of the recorder.")
    threads.add(threading.active_count())
    resident = Family("nvr_resident_bytes", "gauge", "Memory of the recorder.", "bytes")
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    resident.add(int(pages) * os.sysconf("SC_PAGE_SIZE"))
    return [load, warm, spent, files, threads, resident]
