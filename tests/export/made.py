"""An evidence export made of real recordings, and hands that change it afterwards."""

import base64
import functools
import hashlib
import io
import json
import random
import struct
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from nvr._native import crc32c
from nvr.base.clock import FakeClock
from nvr.export.curve import manifest_message
from nvr.export.evidence import Asked, Maker, evidence
from nvr.hal.linux_disk import LinuxDisk
from nvr.playback.query import Archive
from nvr.record import header
from nvr.record.header import PartHeader
from nvr.record.recover import open_store
from nvr.record.seal import Sealer
from nvr.record.store import Store
from nvr.record.writer import Committer
from nvr.seal import sign
from nvr.seal.sign import Signer
from tests.record import synthetic

SIGNER, OTHER = Signer(bytes([4]) * 32), Signer(bytes([5]) * 32)
W = synthetic.WALL_US
GATE, YARD = "gate/main", "yard/main"
PARTS = "parts/gate-main-1.mp4"
ASKED = Asked((GATE, YARD), W + 5_000_000, W + 40_000_000, "admin")

Files = dict[str, bytes]


def maker(signer: Signer | None = SIGNER, **more: object) -> Maker:
    public = signer.public if signer else None
    return Maker("box", W + 10**9, "ntp", 5, signer, public, {"gate": "东门"}, **more)


def recorded(directory: Path, parts: int = 150, signer: Signer | None = SIGNER) -> Store:
    store = open_store(
        LinuxDisk(directory),
        FakeClock(),
        random.Random(1),
        size_bytes=64 << 20,
        block_bytes=4 << 20,
    )
    sealer = Sealer(None, signer, store.identity.ring_id.bytes)
    committer = Committer(store, sealer=sealer)
    cameras = synthetic.camera(GATE, with_audio=True, width=160), synthetic.camera(YARD, width=160)
    for _ in range(parts):
        committer.submit([next(one) for one in cameras])
        store.clock.advance(0.5)
        assert committer.commit()
        store.ring.keep()
    return store


@functools.cache
def whole() -> Files:
    """The files of an untouched export."""
    with tempfile.TemporaryDirectory() as directory:
        store = recorded(Path(directory) / "ring")
        data = b"".join(piece for piece, _ in evidence(Archive(store), ASKED, maker()))
        store.disk.close()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@dataclass
class Cut:
    """A file of parts, taken apart."""

    init: bytes
    parts: list[bytes]

    def joined(self) -> bytes:
        return self.init + b"".join(self.parts)


def cut(data: bytes) -> Cut:
    at = data.index(header.BOX_TYPE) - 8
    found = Cut(data[:at], [])
    while at < len(data):
        size = header.decode(data[at : at + 512]).part_bytes
        found.parts.append(data[at : at + size])
        at += size
    return found


def head(part: bytes) -> PartHeader:
    return header.decode(part[:512])


def with_crc(raw: bytearray) -> bytes:
    struct.pack_into(">I", raw, 508, crc32c(bytes(raw[:508])))
    return bytes(raw)


def with_time(part: bytes, by_us: int) -> bytes:
    """A part whose header says another time, its checksum put right."""
    raw = bytearray(part)
    (wall_us,) = struct.unpack_from(">q", raw, 120)
    struct.pack_into(">q", raw, 120, wall_us + by_us)
    return with_crc(raw)


def chained(parts: list[bytes], since: int, signer: Signer | None = None) -> list[bytes]:
    """Parts whose chain is made anew from one on; signed again if there is a signer."""
    parts = list(parts)
    for n in range(since, len(parts)):
        raw = bytearray(parts[n])
        if n:
            before = hashlib.sha256(parts[n - 1][:508]).digest()
            raw[304:336] = before
            if signer and any(raw[384:448]):
                known = head(parts[n - 1])
                message = sign.head_message(known.ring_id, known.stream, known.sequence, before)
                raw[384:448] = signer.sign(message)
        parts[n] = with_crc(raw)
    return parts


def forged(files: Files, signer: Signer | None = None) -> Files:
    """The manifest made to fit what was changed; signed by somebody, or by nobody."""
    files = dict(files)
    manifest = json.loads(files["manifest.json"])
    for name in list(manifest["files"]):
        if name in files:
            data = files[name]
            manifest["files"][name] = {
                "size_bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        else:
            del manifest["files"][name]
    for entry in manifest["streams"]:
        for one in entry["stretches"]:
            found = cut(files[one["file"]]).parts
            one["first_sequence"] = head(found[0]).sequence
            one["last_sequence"] = head(found[-1]).sequence
            one["link"] = head(found[-1]).link.hex()
    raw = json.dumps(manifest).encode()
    files["manifest.json"] = raw
    files.pop("manifest.sig", None)
    if signer:
        files["manifest.sig"] = base64.b64encode(signer.sign(manifest_message(raw)))
    return files
