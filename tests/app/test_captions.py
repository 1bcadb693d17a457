"""`nvr export` on a real directory, and what the page's exports are made of."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import av
import pytest

from nvr.app.captions import FILE, CaptionLog
from nvr.app.exporter import Exporter
from nvr.app.keyring import Keyring
from nvr.app.settings import caption_to_burn
from nvr.base.clock import FakeClock, SystemClock
from nvr.cli.main import main
from nvr.config import camera as written
from nvr.export.burned import NOT_EVIDENCE
from nvr.export.form import burned_bytes
from nvr.export.order import Wanted
from nvr.media.camera import CaptionText, ClockState
from nvr.playback.query import Archive
from nvr.record.recording import Recording
from tests.app.box import running_box
from tests.export.made import SIGNER, recorded
from tests.export.test_burned import read_time
from tests.record import synthetic

WALL_US = 1_795_415_526_400_000
SPAN = ["--from", "2020-01-01T00:00Z", "--to", "2040-01-01T00:00Z"]
LONG_US = 10_000_000


def parts(name: str) -> Iterator[object]:
    for part in itertools.islice(synthetic.camera(f"{name}/main", width=480, height=272), 30):
        yield replace(part, wall_us=part.wall_us - synthetic.WALL_US + WALL_US)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    (directory / "nvr.toml").write_text(
        '[volume]\npath = "ring"\nsize_mib = 64\n'
        '[[camera]]\nname = "gate"\ntitle = "东门"\nurl = "rtsp://192.0.2.1/1"\n'
        '[camera.caption]\nlines = ["临江路", "{time}"]\nposition_permille = [20, 50]\n'
        'size_permille = 80\nmode = "box"\n'
        '[[camera]]\nname = "yard"\ntitle = "院子ก"\nurl = "rtsp://192.0.2.2/1"\n'
    )
    sealing = Keyring(directory, make=True).sealing(seal=False)
    recording = Recording(directory / "ring", SystemClock(), size_bytes=60 << 20, sealing=sealing)
    recording.start()
    for name in ("gate", "yard"):
        recording.submit(list(parts(name)))
    recording.stop("somebody")
    return directory


@pytest.fixture(autouse=True)
def in_beijing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


def nvr(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> str:
    assert main(["export", *map(str, words)]) == status
    said = capsys.readouterr()
    return said.out + said.err


def test_captions_are_burned_in_and_it_says_what_that_is_worth(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.mp4"
    both = ("--camera", "gate", "--camera", "yard")
    said = nvr(capsys, "--captions", "--data", data, *both, *SPAN, path)
    assert NOT_EVIDENCE in said
    assert "the font lacks ก" in said
    for name in ("gate", "yard"):
        told = json.loads((tmp_path / f"a-{name}.mp4.json").read_text())
        assert (told["form"], told["note"]) == ("mp4", NOT_EVIDENCE)
    with av.open(str(tmp_path / "a-gate.mp4")) as container:
        assert NOT_EVIDENCE in container.metadata["comment"]
        frames = list(container.decode(video=0))
    assert len(frames) == 250
    for n in (0, 100, 249):
        at_us = WALL_US + n * 40_000
        luma = frames[n].to_ndarray(format="gray")
        assert read_time(luma, at_us) == at_us // 1_000_000


def test_a_program_stream_is_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.mpg"
    nvr(capsys, "--form", "ps", "--data", data, "--camera", "gate", *SPAN, path)
    with av.open(str(path)) as container:
        assert container.format.name == "mpeg"
        assert sum(1 for _ in container.decode(video=0)) == 250


@pytest.mark.parametrize("form", ["ps", "fragmented", "evidence"])
def test_captions_go_into_mp4_only(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    words = ("--captions", "--form", form, "--data", data, "--camera", "gate", *SPAN)
    assert "export.captions" in nvr(capsys, *words, tmp_path / "a", status=1)


class Box:
    """What the exporter asks of the box."""

    name = "盒子"

    def clock_state(self) -> ClockState:
        return ClockState("ntp", 5)

    def find(self, _: str) -> None:
        return None


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[tuple[Exporter, Archive]]:
    store = recorded(tmp_path / "ring", 30)
    archive, box = Archive(store), Box()
    look = {
        "gate/main": lambda _: CaptionText(("东门ก", "{time}"), (20, 30), 80, "box"),
        "gate/sub": None,
        "yard/main": None,
    }
    yield (
        Exporter(
            lambda: archive, box, box, SIGNER, tmp_path / "state.db", FakeClock(),  # type: ignore[arg-type]
            look.__getitem__, tmp_path,
        ),
        archive,
    )  # fmt: skip
    store.disk.close()


def test_a_picture_that_carries_its_caption_is_copied_as_it_is(
    exporter: tuple[Exporter, Archive],
) -> None:
    make, archive = exporter
    span = synthetic.WALL_US, synthetic.WALL_US + LONG_US
    wanted = Wanted("mp4", ("gate", "yard"), *span, "wang", captions=True)
    made = {name: b"".join(p for p, _ in pieces) for name, pieces in make.files(wanted)}
    burned, plain = made
    assert burned.startswith("gate-")
    assert burned.endswith("-captions.mp4")
    assert "captions" not in plain
    assert NOT_EVIDENCE.encode() in made[burned]
    assert NOT_EVIDENCE.encode() not in made[plain]
    assert make.missing(wanted) == "ก"
    assert make.missing(replace(wanted, captions=False)) == ""
    assert make.missing(replace(wanted, cameras=("yard",))) == ""
    size = burned_bytes(archive, "gate/main", *span)
    assert len(made[burned]) < size
    only = make.size_bytes(replace(wanted, cameras=("yard",)))
    assert make.size_bytes(wanted) == 2 * size + only


def test_a_program_stream_has_the_name_that_players_know(
    exporter: tuple[Exporter, Archive],
) -> None:
    make, _ = exporter
    span = synthetic.WALL_US, synthetic.WALL_US + LONG_US
    ((name, pieces),) = make.files(Wanted("ps", ("gate",), *span, "wang"))
    assert name.endswith(".mpg")
    data, shares = zip(*pieces, strict=True)
    assert b"".join(data).startswith(b"\0\0\1\xba")
    assert list(shares) == sorted(shares)


def test_a_camera_without_a_caption_gets_its_title_and_the_time() -> None:
    camera = written.Camera(name="gate", url="rtsp://192.0.2.1/1", title="东" * 40)
    assert caption_to_burn(camera, "gate").lines == ("东" * 32, "{time}")
    assert caption_to_burn(None, "gate").lines == ("gate", "{time}")


def test_captions_are_kept_with_the_times_from_which_they_stood(tmp_path: Path) -> None:
    path = tmp_path / FILE
    gate = written.Camera(name="gate", url="rtsp://192.0.2.1/1", title="旧名")
    log = CaptionLog(path)
    log.note([gate], 1_000)
    log.note([gate], 2_000)
    renamed = written.Camera(name="gate", url="rtsp://192.0.2.1/1", title="新名")
    with path.open("a") as file:
        file.write('{"from_us": 2500, "cam')  # the power went
    again = CaptionLog(path)
    again.note([renamed], 3_000)
    for one in (again, CaptionLog(path)):
        at = one.of("gate")
        assert [at(t).lines[0] for t in (0, 1_000, 2_999, 3_000, 9_000)] == [
            "旧名", "旧名", "旧名", "新名", "新名",
        ]  # fmt: skip
        assert one.of("yard")(0).lines == ("yard", "{time}")
        assert one.of("yard", renamed)(0).lines == ("新名", "{time}")
    assert path.read_text().count('"gate"') == 2


def test_what_was_drawn_over_pictures_then_is_known_for_playback(tmp_path: Path) -> None:
    path = tmp_path / FILE
    # Rows of before it was noted whether there was a caption at all.
    old = {"camera": "gate", "position_permille": [20, 30], "size_permille": 42, "mode": "outline"}
    path.write_text(
        json.dumps({**old, "from_us": 100, "lines": ["东门", "{time}"]})
        + "\n"
        + json.dumps({**old, "from_us": 200, "lines": ["临江路"]})
        + "\n"
    )
    log = CaptionLog(path)

    def stood(lines: list[str]) -> written.Camera:
        caption = written.Caption(lines=lines)
        return written.Camera(name="gate", url="rtsp://192.0.2.1/1", title="东门", caption=caption)

    log.note([stood(["东门", "{time}"])], 300)
    log.note([stood([])], 400)
    log.note([stood([])], 500)
    for one in (log, CaptionLog(path)):

        def drawn(from_us: int, to_us: int, one: CaptionLog = one) -> list[tuple[int, object]]:
            return [(at, caption.lines) for at, caption in one.between("gate", from_us, to_us)]

        whole = [(100, ()), (200, ("临江路",)), (300, ("东门", "{time}")), (400, ())]
        assert drawn(0, 1_000) == whole
        assert drawn(250, 300) == [(200, ("临江路",))]
        assert drawn(250, 301) == whole[1:3]
        assert drawn(450, 460) == [(400, ())]
        assert drawn(0, 50) == []
        assert one.between("yard", 0, 1_000) == []
        assert one.of("gate")(450).lines == ("东门", "{time}"), "an export burns that all the same"


def test_a_caption_that_cannot_be_noted_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = CaptionLog(tmp_path / "no-such" / FILE)
    log.note([written.Camera(name="gate", url="rtsp://192.0.2.1/1")], 1_000)
    assert "caption.unnoted" in caplog.text


async def test_a_box_burns_the_caption_of_a_camera_whose_picture_has_none(tmp_path: Path) -> None:
    async with running_box(tmp_path, "[export]\nkeep_h = 5\n") as box:
        body = {
            "name": "yard", "title": "院子大门", "user": "", "password": "",
            "url": f"rtsp://127.0.0.1:{box.dome_port}/dome?yard",  # to the box, no dome of its own
        }  # fmt: skip
        await box.call("POST", "/api/camera", body, status=201)
        begun_us = time.time_ns() // 1000
        for name in ("dome", "yard"):
            await box.until(name, "recorded_until_us", lambda us: us > begun_us + 6_000_000, 60)
        asked = {
            "cameras": ["dome", "yard"], "from_us": begun_us, "to_us": begun_us + 5_000_000,
            "captions": True,
        }  # fmt: skip
        job = await box.call("POST", "/api/export", asked, status=201)
        async with asyncio.timeout(60):
            while job["state"] != "done":
                await asyncio.sleep(0.2)
                (job,) = await box.call("GET", "/api/export")
                assert job["state"] != "failed", job
        plain, burned = (file["name"] for file in job["files"])
        assert "captions" not in plain, "the dome writes it itself"
        assert (burned.startswith("院子大门-"), burned.endswith("-captions.mp4")) == (True, True)
        _, data = await box.take(f"/api/export/1/{quote(burned)}")
    (tmp_path / "a.mp4").write_bytes(data)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.metadata["comment"] == NOT_EVIDENCE
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(frames) >= 60
    # White letters with a dark edge where there were none: the title, top left.
    corner = frames[-1][20:60, 26:150]
    assert (corner > 200).mean() > 0.05
    assert (corner < 40).mean() > 0.1
