"""Checks an evidence export offline: is every part as it was recorded, and by which box?

A copy of this very file lies in each export as ``verify.py``: it needs Python 3.8 or newer and
nothing else. It follows the chain of part headers, hashes what each holds, checks the box's
signatures and the manifest, and names the first part that was altered, removed, swapped or cut
off, with its stream and its time.

Source: ``EVIDENCE.md`` and ``FORMAT.md`` version 1 of nvr; RFC 8032 (Ed25519); RFC 3720, B.4.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import struct
import sys
import zipfile
from datetime import datetime, timedelta, timezone
from typing import Any, BinaryIO, Iterator, NamedTuple  # noqa: UP035 - Python 3.8

from nvr.export.camera import camera_lines
from nvr.export.chain import CHUNK_BYTES, Chain, Cursor, Finding, Part, parts_of
from nvr.export.curve import fingerprint, manifest_message, signed

FORMAT = "nvr evidence 1"
WHOLE, FOUND, UNREADABLE, UNSIGNED = 0, 1, 2, 3
"""Exit statuses."""
_KEY_IN_ZIP = re.compile(rb"sign\.pub.{0,40}?([A-Za-z0-9+/]{43}=)\n", re.DOTALL)
_ZIP_FAULTS = (
    zipfile.BadZipFile, struct.error, ValueError, EOFError, OSError, NotImplementedError,
    OverflowError,
)  # fmt: skip
_ROW = (
    "seq", "time_us", "category", "state", "reason", "hardware_no", "who", "source", "camera",
    "action",
)  # fmt: skip


class Export:
    """An export as a zip or unpacked into a directory.

    Args:
        path: The zip, or the directory.

    Raises:
        OSError: It cannot be read.
        ValueError: There is nothing of ours in it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.broken = ""
        self.names: dict[str, tuple[str, int, int]] = {}
        if os.path.isdir(path):
            self._list_directory()
            return
        with open(path, "rb"):
            pass  # whatever goes wrong from here on is the fault of what is in it
        try:
            with zipfile.ZipFile(path) as archive:
                self._list_zip(archive.infolist())
        except _ZIP_FAULTS as err:
            self.names = {}
            self.broken = str(err) or type(err).__name__

    def _list_directory(self) -> None:
        for root, _, files in os.walk(self.path):
            for name in files:
                whole = os.path.join(root, name)
                inside = os.path.relpath(whole, self.path).replace(os.sep, "/")
                self.names[inside] = whole, 0, os.path.getsize(whole)

    def _list_zip(self, entries: list[zipfile.ZipInfo]) -> None:
        with open(self.path, "rb") as file:
            for one in entries:
                if one.compress_type != zipfile.ZIP_STORED or one.filename in self.names:
                    raise ValueError(f"{one.filename} was packed again: unpack it and check that")
                file.seek(one.header_offset)
                head = file.read(30)
                if head[:4] != b"PK\3\4":
                    raise ValueError(f"{one.filename} does not begin where it should")
                skip = 30 + sum(struct.unpack("<HH", head[26:30]))
                self.names[one.filename] = self.path, one.header_offset + skip, one.file_size

    def cursor(self, name: str) -> tuple[Cursor, BinaryIO]:
        """Open a file of the export; the empty name is the export itself."""
        path, at, size = self.names.get(name) or (self.path, 0, 1 << 62)
        file = open(path, "rb")  # noqa: SIM115 - closed by the caller
        file.seek(at)
        return Cursor(file, size), file

    def read(self, name: str) -> bytes | None:
        """Read a small file, None if it is not there."""
        if name not in self.names or self.names[name][2] > 1 << 26:
            return None
        cursor, file = self.cursor(name)
        with file:
            return cursor.take(self.names[name][2])

    def parts(self, name: str) -> tuple[list[Part], str]:
        """Return what a file of parts holds, and its SHA-256; the empty name carves them."""
        cursor, file = self.cursor(name)
        heads = name.endswith(".heads")
        with file:
            found = list(parts_of(cursor, name, heads=heads, carve=not name))
            return found, cursor.digest.hexdigest()

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file."""
        cursor, file = self.cursor(name)
        with file:
            while cursor.take(CHUNK_BYTES):
                pass
            return cursor.digest.hexdigest()


class Summary(NamedTuple):
    """What was found of one stream.

    Attributes:
        stream: Name.
        parts: How many there are.
        from_us: UTC microseconds of the first.
        to_us: UTC microseconds of the end of the last.
        signatures: How many of the box's signatures are right.
        unsigned: Parts at the end that no signature covers.
    """

    stream: str
    parts: int
    from_us: int
    to_us: int
    signatures: int
    unsigned: int


class Report:
    """What a check found.

    Attributes:
        manifest: As it stands in the export, empty if it cannot be read.
        key: Public key that the signatures were checked with, None if there is none.
        sealed: The manifest is signed with it.
        findings: What is not as it was recorded, by stream and sequence.
        notes: What else somebody should know.
        streams: One a stream.
        witnessed: What the manifest says of the cameras' own signatures was checked anew.
    """

    def __init__(self) -> None:
        self.witnessed = False
        self.manifest: dict[str, Any] = {}
        self.key: bytes | None = None
        self.sealed = False
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.streams: list[Summary] = []

    @property
    def status(self) -> int:
        """One of `WHOLE`, `FOUND`, `UNREADABLE` and `UNSIGNED`."""
        if self.findings:
            return FOUND
        if not any(one.parts for one in self.streams):
            return UNREADABLE
        return UNSIGNED if any(one.unsigned for one in self.streams) else WHOLE

    def add(self, kind: str, text: str, file: str = "") -> None:
        """Note a finding that is about no part."""
        self.findings.append(Finding(kind, "", -1, 0, text, file))

    def time(self, wall_us: int) -> str:
        """Return a time as the box's own clock on the wall showed it."""
        offset_s = self.manifest.get("time_zone", {}).get("utc_offset_s", 0)
        zone = timezone(timedelta(seconds=offset_s))
        try:
            at = datetime.fromtimestamp(wall_us // 1_000_000, timezone.utc).astimezone(zone)  # noqa: UP017 - 3.8
        except (ValueError, OverflowError, OSError):
            return f"{wall_us} us"
        return at.replace(microsecond=wall_us % 1_000_000).isoformat(timespec="milliseconds")

    def line(self, one: Finding) -> str:
        """Return a finding as a line."""
        where = f"{one.stream} part {one.sequence}" if one.sequence >= 0 else one.file
        at = f" at {self.time(one.wall_us)}" if one.wall_us else ""
        return f"{one.kind}: {where}{at}: {one.text}"


def check(path: str, trusted: str | None = None) -> Report:
    """Check an export.

    Args:
        path: The zip, or the directory it was unpacked into.
        trusted: Fingerprint, or file with the public key, of the box it should be from.

    Raises:
        OSError: It cannot be read.
    """
    export, report = Export(path), Report()
    inside = _key(export)
    report.key = inside
    if trusted is not None:
        _compare(trusted, inside, report)
    if export.broken:
        report.add("cut off", f"the zip has no whole directory ({export.broken})", path)
        _carve(export, report)
        return report
    _read_manifest(export, report)
    digests: dict[str, str] = {}
    for entry in report.manifest.get("streams", []):
        _check_stream(export, entry, report, digests)
    _check_files(export, report, digests)
    _check_audit(export, report)
    return report


def _key(export: Export) -> bytes | None:
    text = export.read("sign.pub")
    if text is None and export.broken:
        with open(export.path, "rb") as file:
            found = _KEY_IN_ZIP.search(file.read(CHUNK_BYTES))
        text = found.group(1) if found else None
    return _decoded(text)


def _decoded(text: bytes | None) -> bytes | None:
    if text is None:
        return None
    try:
        key = text if len(text) == 32 else base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == 32 else None


def _compare(trusted: str, inside: bytes | None, report: Report) -> None:
    wanted = re.sub(r"[^0-9a-f]", "", trusted.lower())
    if os.path.isfile(trusted):
        with open(trusted, "rb") as file:
            key = _decoded(file.read(4096))
        wanted = fingerprint(key).replace(" ", "") if key else ""
        report.key = report.key or key
    if len(wanted) < 16:
        report.add("foreign key", f"{trusted} is neither a fingerprint nor a key", trusted)
    elif inside is not None and fingerprint(inside).replace(" ", "") != wanted:
        shown = " ".join(wanted[n : n + 4] for n in range(0, 16, 4))
        text = f"it is signed by {fingerprint(inside)}, not by {shown}"
        report.add("foreign key", text, "sign.pub")


def _read_manifest(export: Export, report: Report) -> None:
    raw, signature = export.read("manifest.json"), export.read("manifest.sig")
    if raw is None:
        report.add("removed", "the manifest is missing", "manifest.json")
        return
    if signature is None or report.key is None:
        report.notes.append("the manifest is not signed: what it says may have been changed")
    else:
        try:
            decoded = base64.b64decode(signature.strip(), validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        report.sealed = signed(report.key, manifest_message(raw), decoded)
        if not report.sealed:
            report.add("altered", "it is not the manifest that was signed", "manifest.json")
    try:
        report.manifest = json.loads(raw)
        _check_shape(report)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
        report.manifest = {}
        report.add("altered", f"the manifest is not one of format {FORMAT}: {err}", "manifest.json")


def _check_shape(report: Report) -> None:
    """Check that the manifest has what is read of it, so that nothing in it can break the check."""
    manifest = _typed(report.manifest, dict)
    if manifest["format"] != FORMAT:
        raise ValueError(manifest["format"])
    for entry in _typed(manifest["streams"], list):
        _typed(entry["stream"], str)
        for one in _typed(entry["stretches"], list):
            _ = (
                _typed(one["file"], str),
                _typed(one["link"], str),
                _typed(one.get("heads", ""), str),
            )
            first, last = _typed(one["first_sequence"], int), _typed(one["last_sequence"], int)
            if not 0 <= first <= last < 1 << 64:
                raise ValueError(f"sequences {first} to {last}")
        _ = [_typed(one, int) for one in _typed(entry.get("damaged", []), list)]
        _typed(entry.get("camera_signatures", []), list)
    for one in _typed(manifest.get("files", {}), dict).values():
        _typed(_typed(one, dict).get("sha256"), str)
    _typed(_typed(manifest["asked"], dict).get("by"), str)
    _ = [_ring(one.get("volume", manifest["volume"])) for one in (manifest, *manifest["streams"])]
    offset_s = _typed(_typed(manifest["time_zone"], dict)["utc_offset_s"], int)
    if abs(offset_s) >= 86_400:
        raise ValueError(offset_s)


def _ring(text: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return the UUID of a volume as the parts have it."""
    found = bytes.fromhex(_typed(text, str).replace("-", ""))
    if len(found) != 16:
        raise ValueError(text)
    return found


def _typed(value: Any, kind: type) -> Any:  # noqa: ANN401 - any JSON
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value


def _check_stream(
    export: Export, entry: dict[str, Any], report: Report, digests: dict[str, str]
) -> None:
    name, places = entry["stream"], []
    parts: list[Part] = []
    for one in entry["stretches"]:
        begin = end = len(parts)
        for file in (one["file"], one.get("heads")):
            if file in export.names:
                found, digests[file] = export.parts(file)
                parts += found
            if file == one["file"]:
                end = len(parts)
        places.append((one, begin, end, len(parts)))
    chain = Chain(name, _ring(entry.get("volume", report.manifest["volume"])), parts)
    last = None
    for one, begin, end, behind in places:
        first, linked = (
            one["first_sequence"],
            last is not None and last + 1 == one["first_sequence"],
        )
        if last is not None and not linked:
            text = f"{name}: parts {last + 1} to {first - 1} were not there when it was made"
            report.notes.append(text)
        last = one["last_sequence"]
        chain.follow(first, last, begin, end, linked=linked)
        chain.check_head(last, one["link"])
        chain.follow(last + 1, None, end, behind, linked=True)
    for sequence in entry.get("damaged", []):
        report.notes.append(f"{name}: part {sequence} was damaged on the disk before the export")
    _sum_up(chain, report)


def _sum_up(chain: Chain, report: Report) -> None:
    right, covered = chain.check_signatures(report.key) if report.key else (0, -1)
    report.findings += sorted(chain.found, key=lambda one: one.sequence)
    whole = [part for part in chain.parts if part.whole and not part.head_only]
    if not whole:
        report.streams.append(Summary(chain.stream, 0, 0, 0, right, 0))
        return
    unsigned = 0 if report.sealed else sum(part.sequence > covered for part in whole)
    first_us, end_us = min(p.wall_us for p in whole), max(p.end_us for p in whole)
    report.streams.append(Summary(chain.stream, len(whole), first_us, end_us, right, unsigned))
    if unsigned and report.key:
        last = max(part.sequence for part in whole)
        text = f"{chain.stream}: no signature covers the last {unsigned} parts, up to part {last}"
        report.notes.append(text)


def _carve(export: Export, report: Report) -> None:
    """Check what parts a broken zip still holds, without its manifest."""
    streams: dict[str, list[Part]] = {}
    for part in export.parts("")[0]:
        if part.whole or streams:
            streams.setdefault(part.stream if part.whole else next(reversed(streams)), []).append(
                part
            )
    for name, parts in streams.items():
        chain = Chain(name, None, parts)
        chain.follow(parts[0].sequence, None, 0, len(parts), linked=False)
        last = parts[-1]
        text = "what came after it cannot be told from here"
        if not chain.found:
            chain.note("cut off", last.sequence + 1, last.end_us, text)
        _sum_up(chain, report)


def _check_files(export: Export, report: Report, digests: dict[str, str]) -> None:
    listed = report.manifest.get("files", {})
    blamed = {one.file for one in report.findings}
    for name, one in sorted(listed.items()):
        if name not in export.names:
            report.add("removed", "this file is missing", name)
            continue
        digest = digests.get(name) or export.sha256(name)
        if digest != one.get("sha256") and name not in blamed:
            report.add("altered", "the file is not the one that the manifest names", name)
    for name in sorted(export.names.keys() - listed.keys()):
        if listed and name not in {"manifest.json", "manifest.sig"}:
            report.notes.append(f"{name} is not part of the export")


def _check_audit(export: Export, report: Report) -> None:
    for text in (export.read("audit.jsonl") or b"").splitlines():
        try:
            row = json.loads(text)
            digest = hashlib.sha256(bytes.fromhex(row["before"]))
            for field in _ROW:
                raw = str(row[field]).encode("utf-8", "surrogatepass")
                digest.update(len(raw).to_bytes(4, "big") + raw)
            right = digest.hexdigest() == row["hash"]
        except (ValueError, TypeError, KeyError, RecursionError) as err:
            report.add("altered", f"a row of the log cannot be read: {err}", "audit.jsonl")
            return
        if not right:
            report.add("altered", f"row {row['seq']} of the log was changed", "audit.jsonl")
            return


def told(report: Report, most: int = 20) -> Iterator[str]:
    """Yield what a person is told, line by line."""
    made = report.manifest
    if made:
        yield f"made by {made.get('asked', {}).get('by', '')} with {made.get('software', '')}"
        yield f"volume {made.get('volume', '')}"
    for one in report.streams:
        span = f"{report.time(one.from_us)} to {report.time(one.to_us)}  " if one.parts else ""
        yield f"{one.stream}: {one.parts} parts  {span}{one.signatures} signatures"
    yield from camera_lines(made.get("streams"), report.time, checked=report.witnessed)
    for note in report.notes:
        yield f"note: {note}"
    for n, found in enumerate(report.findings[:most]):
        yield f"{'also' if n else 'FIRST'}: {report.line(found)}"
    if len(report.findings) > most:
        yield f"and {len(report.findings) - most} more"
    whose = f"signed by {fingerprint(report.key)}" if report.key else "not signed"
    yield {
        WHOLE: f"WHOLE: every part is as it was recorded, {whose}. Compare that with the "
        "fingerprint the box shows, or give it with --key",
        FOUND: f"NOT AS RECORDED: {len(report.findings)} found, {whose}",
        UNREADABLE: "NOTHING TO CHECK: no part of an export is in it",
        UNSIGNED: f"CHAIN WHOLE, BUT NOT ALL OF IT SIGNED ({whose}): whoever changed it and made "
        "the chain anew would not be noticed",
    }[report.status]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("file", metavar="FILE", help="the zip, or the directory it is unpacked in")
    parser.add_argument(
        "--key",
        metavar="FINGERPRINT|FILE",
        help="the box it must be from: its fingerprint, or a file with its public key",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(chosen: argparse.Namespace) -> int:
    """Check one export and say what was found."""
    try:
        report = check(chosen.file, chosen.key)
    except OSError as err:
        sys.stderr.write(f"{chosen.file} cannot be read: {err}\n")
        return UNREADABLE
    return say(report, as_json=chosen.json)


def say(report: Report, *, as_json: bool) -> int:
    """Say what was found; returns the exit status."""
    if as_json:
        streams = report.manifest.get("streams", [])
        tree = {
            "status": report.status,
            "key": fingerprint(report.key) if report.key else None,
            "streams": [one._asdict() for one in report.streams],
            "camera_signatures": [s for one in streams for s in one.get("camera_signatures", [])],
            "camera_signatures_checked": report.witnessed,
            "findings": [one._asdict() for one in report.findings],
            "notes": report.notes,
        }
        sys.stdout.write(json.dumps(tree, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(line + "\n" for line in told(report)))
    return report.status


def main() -> int:
    """Run as a program of its own: what the copy in an export does."""
    parser = argparse.ArgumentParser(
        description="Checks an export of nvr: every part as recorded, and by which box?",
        epilog="Ends with 0: whole and signed; 1: something is not as recorded; 2: cannot be "
        "read; 3: whole, but not all of it signed.",
    )
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
