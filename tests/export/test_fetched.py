"""Evidence of what was fetched from the camera later: a chain of its own, and said so."""

import io
import itertools
import json
import random
import zipfile
from dataclasses import replace
from pathlib import Path

from nvr.base.clock import FakeClock
from nvr.export import verify
from nvr.export.evidence import Asked, evidence
from nvr.hal.linux_disk import LinuxDisk
from nvr.media.name import FETCHED
from nvr.playback.joined import Joined
from nvr.playback.query import Archive
from nvr.record.note import FETCH, Note
from nvr.record.recover import open_store
from nvr.record.seal import Sealer
from nvr.record.writer import Committer
from tests.export import made
from tests.record import synthetic

S_US = 1_000_000


def test_it_is_verbatim_verified_and_named(tmp_path: Path) -> None:
    store = open_store(
        LinuxDisk(tmp_path / "ring"), FakeClock(), random.Random(1), size_bytes=64 << 20,
        block_bytes=4 << 20,
    )  # fmt: skip
    sealer = Sealer(None, made.SIGNER, store.identity.ring_id.bytes)
    committer = Committer(store, sealer=sealer)
    parts = list(itertools.islice(synthetic.camera(made.GATE, width=160), 60))
    begin_us, end_us = parts[20].wall_us, parts[40].wall_us
    source = "192.0.2.10:80 gate.main"
    for n, part in enumerate(parts):
        if not 20 <= n < 40:
            committer.submit([replace(part, run=1 if n < 20 else 2)])
            assert committer.commit()
    at_us = store.clock.wall_us()
    store.ring.note(
        Note(FETCH, at_us, stream=made.GATE, since_us=begin_us, until_us=end_us, by=source)
    )
    committer.submit([replace(part, stream=made.GATE + FETCHED) for part in parts[18:42]])
    assert committer.commit()
    archive = Joined({0: Archive(store)})
    asked = Asked((made.GATE,), parts[2].wall_us, parts[58].wall_us, "admin")
    data = b"".join(piece for piece, _ in evidence(archive, asked, made.maker()))
    path = tmp_path / "evidence.zip"
    path.write_bytes(data)
    report = verify.check(str(path))
    assert report.status == verify.WHOLE, list(verify.told(report))
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        manifest = json.loads(opened.read("manifest.json"))
    own, fetched = manifest["streams"]
    assert (own["stream"], fetched["stream"]) == (made.GATE, made.GATE + FETCHED)
    (stretch,) = fetched["stretches"]
    assert stretch["from_us"] <= begin_us
    assert stretch["to_us"] >= end_us
    said = [one.get("fetched") for one in own["recorded"]]
    assert said == [None, {"at_us": at_us, "from": source}, None]
    assert own["gaps"] == []
    store.disk.close()
