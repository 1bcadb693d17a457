"""An evidence export: a zip with the parts as they were recorded, and all that proves them.

It is made piece by piece while it is read, held nowhere, and every file in it is stored as it is.
What is in it, and what the verifier makes of it, is in ``EVIDENCE.md``.

Source: PKWARE APPNOTE 6.3.10 (zip64, data descriptors); ``EVIDENCE.md`` version 1.
"""

import base64
import hashlib
import json
import time
import zipfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from itertools import product
from typing import Any

from nvr import __version__
from nvr.auth.audit import Row as AuditRow
from nvr.base.errors import Damaged, NvrError, Rejected
from nvr.export import single, witness
from nvr.export.certificate import Certificate
from nvr.export.curve import fingerprint, manifest_message
from nvr.export.mp4 import Movie, movie_of, portion
from nvr.export.verify import FORMAT
from nvr.media.name import BESIDE, camera_of, original
from nvr.playback.joined import Recordings
from nvr.playback.query import Archive, Recorded
from nvr.playback.verbatim import Reader, Verbatim, chosen
from nvr.record.block import Entry
from nvr.record.row import Row
from nvr.seal.sign import Signer
from nvr.wire.mp4 import Provenance

Piece = tuple[bytes, float]
"""Bytes of the export, and which share of the work is done."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for.

    Attributes:
        streams: Names of the streams.
        from_us: UTC microseconds of the first picture.
        to_us: UTC microseconds after the last.
        by: Who asks.
    """

    streams: tuple[str, ...]
    from_us: int
    to_us: int
    by: str


@dataclass(frozen=True, slots=True)
class Maker:
    """The box that makes an export.

    Attributes:
        name: Its name.
        now_us: UTC microseconds.
        clock: ``ntp``, ``gb28181``, ``rtc``, ``unsynced``, or empty if nobody knows.
        uncertainty_ms: How far its clock may be off now.
        signer: Its signing key, None if it is not at hand.
        public: Its public key, None if it has none.
        titles: What cameras are called.
        audit: Rows of the log, each with the hash before it; None if there is no log at hand.
        audit_scope: ``all`` rows about the cameras, or only ``motion``.
        cas: CAs of cameras that sign their video; empty: whose they are is not looked at.
    """

    name: str
    now_us: int
    clock: str = ""
    uncertainty_ms: int = 0xFFFFFFFF
    signer: Signer | None = None
    public: bytes | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    audit: Callable[[], Iterable[tuple[AuditRow, bytes]]] | None = None
    audit_scope: str = "motion"
    cas: Sequence[Certificate] = ()

    def provenance(self, stream: str, asked: Asked, start_us: int) -> Provenance:
        """Return what a file says of where it comes from."""
        camera = camera_of(stream)
        return Provenance(
            self.name, "", self.now_us, asked.by, self.titles.get(camera) or camera, "", start_us
        )


class _Sink:
    """What the zip is written to: keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def take(self) -> list[bytes]:
        taken, self._pieces = self._pieces, []
        return taken


class _Packer:
    """A zip that is taken away while it is made."""

    def __init__(self, at_us: int) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", allowZip64=True)  # type: ignore[call-overload] # needs only write and flush
        self._date = time.localtime(at_us / 1e6)[:6]
        self.files: dict[str, dict[str, object]] = {}

    def file(self, name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        info = zipfile.ZipInfo(name, self._date)
        info.external_attr = 0o644 << 16
        digest, size = hashlib.sha256(), 0
        with self._zip.open(info, "w", force_zip64=True) as out:
            for piece in pieces:
                out.write(piece)
                digest.update(piece)
                size += len(piece)
                yield from self._sink.take()
        self.files[name] = {"size_bytes": size, "sha256": digest.hexdigest()}
        yield from self._sink.take()

    def end(self) -> Iterator[bytes]:
        self._zip.close()
        yield from self._sink.take()


@dataclass(frozen=True, slots=True)
class _Share:
    """What one volume holds of a stream that is asked for: a chain of its own."""

    stream: str
    archive: Archive
    parts: list[tuple[Row, Entry]]

    @property
    def size_bytes(self) -> int:
        return sum(entry.part_bytes for _, entry in self.parts)


def _shares(archive: Recordings, streams: Sequence[str], from_us: int, to_us: int) -> list[_Share]:
    shares: list[_Share] = []
    for stream in streams:
        found = [
            _Share(stream, each, chosen(each.store, stream, from_us, to_us))
            for each in archive.volumes
        ]
        there = [entry for share in found for _, entry in share.parts]
        for suffix, each in product(BESIDE, archive.volumes):
            name = stream + suffix
            beside = chosen(each.store, name, from_us, to_us)
            held = _spans(there)
            needed = [(row, entry) for row, entry in beside if not _among(held, entry)]
            there += [entry for _, entry in needed]
            found.append(_Share(name, each, needed))
        shares += [share for share in found if share.parts] or found[:1]
    return shares


def _fetched(run: Recorded) -> dict[str, Any]:
    """Say of a stretch that was fetched from the camera's own storage when, and from where."""
    fetch = run.fetch
    return {"fetched": {"at_us": fetch.at_us, "from": fetch.source}} if fetch else {}


def _spans(entries: Iterable[Entry]) -> list[tuple[int, int]]:
    """Return the wall times that parts cover, joined and in order."""
    spans: list[tuple[int, int]] = []
    for from_us, to_us in sorted((entry.wall_us, entry.end_us) for entry in entries):
        if spans and from_us <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], to_us)
        else:
            spans.append((from_us, to_us))
    return spans


def _among(spans: Sequence[tuple[int, int]], entry: Entry) -> bool:
    middle_us = (entry.wall_us + entry.end_us) // 2
    at = bisect_right(spans, (middle_us, 1 << 62)) - 1
    return at >= 0 and middle_us < spans[at][1]


def evidence(archive: Recordings, asked: Asked, maker: Maker) -> Iterator[Piece]:
    """Yield the zip, piece by piece.

    Raises:
        Rejected: ``export.nothing``, before the first byte.
        Unavailable: ``export.overwritten``, ``key.none`` and other reasons why it cannot go on:
            what was yielded by then is no export.
    """
    work = _shares(archive, asked.streams, asked.from_us, asked.to_us)
    if not any(share.parts for share in work):
        raise Rejected("export.nothing", "nothing is recorded there", stream=asked.streams[0])
    yield from _Making(archive, asked, maker, work).pieces()


class _Making:
    def __init__(
        self,
        archive: Recordings,
        asked: Asked,
        maker: Maker,
        work: list[_Share],
    ) -> None:
        self._archive = archive
        self._asked = asked
        self._maker = maker
        self._work = work
        self._packer = _Packer(maker.now_us)
        # Each byte is copied verbatim, read for the tables of the copy, and copied again.
        self._total = 3 * sum(share.size_bytes for share in work)
        self._done = 0.0
        self._streams: list[dict[str, Any]] = []

    def pieces(self) -> Iterator[Piece]:
        leaflet = resources.files("nvr.export").joinpath("LEAFLET.md").read_bytes()
        yield from self._small("README.txt", leaflet)
        yield from self._small("verify.py", single.source().encode())
        if self._maker.public is not None:
            yield from self._small("sign.pub", base64.b64encode(self._maker.public) + b"\n")
        rows = 0
        if self._maker.audit is not None:
            lines = [_line(row, before) for row, before in self._maker.audit()]
            rows = len(lines)
            yield from self._small("audit.jsonl", b"".join(lines))
        for share in self._work:
            yield from self._stream(share)
        for stream in self._asked.streams:
            yield from self._copies(
                [one for one in self._streams if original(one["stream"]) == stream]
            )
        manifest = json.dumps(self._manifest(rows), indent=1, ensure_ascii=False).encode() + b"\n"
        yield from self._small("manifest.json", manifest)
        if self._maker.signer is not None:
            signature = self._maker.signer.sign(manifest_message(manifest))
            yield from self._small("manifest.sig", base64.b64encode(signature) + b"\n")
        for piece in self._packer.end():
            yield piece, 1.0

    def _share(self) -> float:
        return min(1.0, self._done / self._total)

    def _small(self, name: str, data: bytes) -> Iterator[Piece]:
        for piece in self._packer.file(name, [data]):
            yield piece, self._share()

    def _stream(self, share: _Share) -> Iterator[Piece]:
        stream, reader = share.stream, Reader(share.archive.store)
        entry: dict[str, Any] = {
            "stream": stream, "volume": str(share.archive.store.identity.ring_id), "sealed": False,
            "stretches": [], "damaged": [], "unreadable": 0, "copies": [], "copy_missing": "",
            "camera_signatures": [],
        }  # fmt: skip
        made = sum(len(one["stretches"]) for one in self._streams if one["stream"] == stream)
        self._streams.append(entry)
        source = _Ahead(self._read(reader, share.parts, entry))
        base = stream.replace("/", "-")
        while source.next is not None:
            number = made + len(entry["stretches"]) + 1
            stretch: dict[str, Any] = {"file": f"parts/{base}-{number}.mp4"}
            for piece in self._packer.file(stretch["file"], self._stretch(source, stretch)):
                yield piece, self._share()
            entry["stretches"].append(stretch)
            last = stretch["last_sequence"]
            if source.goes_on(last):
                continue
            heads = list(reader.heads(stream, last))
            if heads:
                stretch["heads"] = f"parts/{base}-{number}.heads"
                yield from self._small(stretch["heads"], b"".join(heads))

    def _read(
        self, reader: Reader, parts: list[tuple[Row, Entry]], entry: dict[str, Any]
    ) -> Iterator[Verbatim]:
        for row, place in parts:
            self._done += place.part_bytes
            try:
                part = reader.part(row, place)
            except (Damaged, OSError):
                entry["unreadable"] += 1  # its place in the chain stays empty, and shows
                continue
            if not part.whole:
                entry["damaged"].append(part.header.sequence)
            entry["sealed"] = entry["sealed"] or part.header.suite != 0
            yield part

    @staticmethod
    def _stretch(source: "_Ahead", stretch: dict[str, Any]) -> Iterator[bytes]:
        """Yield one file: parts without a hole in their chain and of the same codecs."""
        part = source.next
        assert part is not None
        first = part.header
        stretch |= {
            "first_sequence": first.sequence, "from_us": first.wall_us, "parts": 0,
            "uncertainty_ms": 0, "previous": first.previous.hex(),
        }  # fmt: skip
        init, expected = part.init, first.sequence
        yield init
        while part is not None and part.header.sequence == expected and part.init == init:
            header = part.header
            yield part.data
            stretch["parts"] += 1
            stretch["uncertainty_ms"] = max(stretch["uncertainty_ms"], header.uncertainty_ms)
            stretch |= {
                "last_sequence": header.sequence,
                "to_us": header.wall_us + header.duration_90k * 100 // 9,
                "link": header.link.hex(),
            }
            expected += 1
            part = source.advance()

    def _copies(self, entries: list[dict[str, Any]]) -> Iterator[Piece]:
        """Yield the copies of a stream; they are named in the first of its entries."""
        entry, asked = entries[0], self._asked
        stream = original(entry["stream"])
        spans = self._archive.configs(stream, asked.from_us, asked.to_us)
        base = stream.replace("/", "-")
        size = sum(share.size_bytes for share in self._work if original(share.stream) == stream)
        each = size / max(1, len(spans))
        for number, (from_us, to_us) in enumerate(spans, 1):
            movie, begun = movie_of(self._archive, stream, from_us, to_us), self._done
            try:
                for at_us in movie.scan():
                    self._done = begun + each * portion(from_us, at_us, to_us)
                    yield b"", self._share()
            except NvrError as err:
                entry["copy_missing"] = err.code  # sealed, and the key is not here
                entry["camera_signatures"].append(witness.unknown("", err))
                return
            begun = self._done = begun + each
            if not movie.media_bytes:
                continue
            name = f"video/{base}.mp4" if number == 1 else f"video/{base}-{number}.mp4"
            head = movie.head(self._maker.provenance(stream, asked, movie.start_us))
            for piece in self._packer.file(name, self._media(head, movie, from_us, to_us, each)):
                yield piece, self._share()
            self._done = begun + each
            entry["copies"].append(name)
            yield from self._witness(entry, name, movie)

    def _witness(self, entry: dict[str, Any], name: str, movie: Movie) -> Iterator[Piece]:
        """Check what the camera itself signed; only where there is any, it is read once more."""
        clip = witness.movie_clip(movie)
        if clip is None:
            return
        check = witness.Check(name, clip, self._maker.cas)
        try:
            for _ in check.steps() if movie.marked else ():
                yield b"", self._share()
        except NvrError as err:
            check.found = witness.unknown(name, err)
        entry["camera_signatures"].append(check.found)

    def _media(
        self, head: bytes, movie: Movie, from_us: int, to_us: int, each: float
    ) -> Iterator[bytes]:
        begun = self._done
        yield head
        for piece, at_us in movie.media():
            self._done = begun + each * portion(from_us, at_us, to_us)
            yield piece

    def _manifest(self, rows: int) -> dict[str, Any]:
        asked, maker = self._asked, self._maker
        zone = datetime.fromtimestamp(asked.from_us / 1e6).astimezone()
        offset = zone.utcoffset()
        public = maker.public
        for entry in self._streams:
            ranges = self._archive.ranges(original(entry["stream"]), asked.from_us, asked.to_us)
            entry["recorded"] = [
                {"run": run.run, "from_us": run.from_us, "to_us": run.to_us, **_fetched(run)}
                for run in ranges.runs
            ]
            entry["gaps"] = [
                {
                    "from_us": gap.from_us, "to_us": gap.to_us, "cause": gap.cause,
                    "code": gap.code, "by": gap.by,
                }
                for gap in ranges.gaps
            ]  # fmt: skip
        return {
            "format": FORMAT,
            "software": f"nvr {__version__}",
            "box": maker.name,
            "made_us": maker.now_us,
            "clock": {"state": maker.clock, "uncertainty_ms": maker.uncertainty_ms},
            "time_zone": {
                "name": zone.tzname(),
                "utc_offset_s": int(offset.total_seconds()) if offset else 0,
            },
            "asked": {
                "streams": list(asked.streams), "from_us": asked.from_us, "to_us": asked.to_us,
                "by": asked.by,
            },
            "volume": str(self._archive.volume().ring_id),
            "key": None
            if public is None
            else {
                "algorithm": "Ed25519",
                "public": base64.b64encode(public).decode(),
                "fingerprint": fingerprint(public),
            },
            "streams": self._streams,
            "audit": {"rows": rows, "scope": maker.audit_scope} if maker.audit else None,
            "files": self._packer.files,
        }  # fmt: skip


class _Ahead:
    """Parts, with a look at the next one."""

    def __init__(self, parts: Iterator[Verbatim]) -> None:
        self._parts = parts
        self.next = next(parts, None)

    def goes_on(self, sequence: int) -> bool:
        """Whether the next part carries on the chain after `sequence`."""
        return self.next is not None and self.next.header.sequence == sequence + 1

    def advance(self) -> Verbatim | None:
        self.next = next(self._parts, None)
        return self.next


def _line(row: AuditRow, before: bytes) -> bytes:
    entry = row.entry
    tree = {
        "seq": row.seq, "time_us": row.time_us, "category": entry.category, "state": entry.state,
        "reason": entry.reason, "hardware_no": entry.hardware_no, "who": entry.who,
        "source": entry.source, "camera": entry.camera, "action": entry.action,
        "before": before.hex(), "hash": row.hash.hex(),
    }  # fmt: skip
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def size_bytes(archive: Recordings, streams: Sequence[str], from_us: int, to_us: int) -> int:
    """Return about how big an export will be: the parts twice, verbatim and as a copy."""
    return 2 * sum(share.size_bytes for share in _shares(archive, streams, from_us, to_us))
