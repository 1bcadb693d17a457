"""What is masked of a camera, kept over time; and what an export, RTSP and the page make of it."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest

from nvr.app.masks import FILE, MaskLog, unmasked_out
from nvr.app.settings import masks_of
from nvr.auth.user import Subject, rights_of
from nvr.base.clock import FakeClock
from nvr.cli.main import main
from nvr.config import camera as written
from nvr.config.load import check
from nvr.export.form import Copying, copied
from nvr.media.mask import Mask
from nvr.playback.query import Archive
from nvr.wire.mp4 import Provenance
from tests.app.box import running_box
from tests.export.made import recorded
from tests.record import synthetic
from tests.web.box import MemoryCameras

LEFT = written.MaskArea(points_permille=[(0, 0), (500, 0), (500, 1000), (0, 1000)])
CORNER = written.MaskArea(points_permille=[(0, 0), (100, 0), (0, 100)], kind="mosaic")


def gate(*areas: written.MaskArea) -> written.Camera:
    return written.Camera(name="gate", url="rtsp://192.0.2.1/1", mask=list(areas))


def test_what_was_masked_then_is_known_later(tmp_path: Path) -> None:
    path = tmp_path / FILE
    log = MaskLog(path)
    for areas, burned, now_us in (
        ((), False, 100), ((LEFT,), False, 1000), ((LEFT,), False, 1500), ((CORNER,), False, 2000),
        ((), False, 3000), ((LEFT,), True, 4000),
    ):  # fmt: skip
        log.note([(gate(*areas), burned)], now_us)
    with path.open("a") as file:
        file.write('{"from_us": 2500, "cam')  # the power went
    left, corner = masks_of(gate(LEFT)), masks_of(gate(CORNER))
    for one in (log, MaskLog(path)):
        assert one.over("gate", 0, 999) == ()
        assert one.over("gate", 0, 1000) == left
        assert one.over("gate", 1200, 1999) == left
        assert one.over("gate", 1999, 2000) == left + corner
        assert one.over("gate", 2999, 9000) == corner
        assert one.over("gate", 3000, 9000) == (), "what is burned in has nothing under it"
        assert one.over("yard", 0, 9000) == ()


def test_a_mask_that_cannot_be_noted_is_logged_and_still_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = MaskLog(tmp_path / "no-such" / FILE)
    log.note([(gate(LEFT), False)], 1000)
    assert "mask.unnoted" in caplog.text
    assert log.over("gate", 0, 2000) == masks_of(gate(LEFT))


class Server:
    """Who watches, as `unmasked_out` asks."""

    def __init__(self) -> None:
        self.gone: list[str] = []

    def readers(self) -> tuple[tuple[str, str], ...]:
        return (("platform", "::1"), ("open", "::1"), ("platform", "::1"))

    def revoke(self, user: str) -> None:
        self.gone.append(user)

    def subject(self, user: str) -> Subject:
        rights = ["live", "unmasked"] if user == "open" else ["live"]
        return Subject("machine", user, None, rights_of({"*": rights}))


def test_who_may_not_see_what_is_hidden_is_cut_when_it_is_hidden() -> None:
    server, known = Server(), {}
    state = MemoryCameras(FakeClock()).put("gate", "东门")
    hidden = dataclasses.replace(state, masks=masks_of(gate(LEFT)))
    for one in (state, hidden, hidden, state):
        unmasked_out(server, server, known, one)  # type: ignore[arg-type]
    assert server.gone == ["platform"]
    burned = dataclasses.replace(hidden, masks_burned=True)
    unmasked_out(server, server, {}, burned)  # type: ignore[arg-type]
    assert server.gone == ["platform"]


def test_an_export_has_the_masks_laid_over_every_picture(tmp_path: Path) -> None:
    store = recorded(tmp_path / "ring", 10)
    archive = Archive(store)
    span = synthetic.WALL_US, synthetic.WALL_US + 2_000_000
    (tmp_path / "spool").mkdir()
    masks = (Mask(((0, 0), (500, 0), (500, 1000), (0, 1000))),)
    how = Copying("mp4", _origin, None, tmp_path / "spool", masks)
    data = b"".join(piece for piece, _ in copied(archive, "gate/main", *span, how))
    store.disk.close()
    path = tmp_path / "masked.mp4"
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert "masked, re-encoded: not evidence" in container.metadata["comment"]
        frames = [one.to_ndarray(format="gray") for one in container.decode(video=0)]
    assert len(frames) > 30
    for luma in frames:
        half = luma.shape[1] // 2
        assert luma[:, : half - 16].max() <= 24
        assert luma[:, half + 16 :].std() > 3


def _origin(start_us: int) -> Provenance:
    return Provenance("box", "", 0, "", "gate", "", start_us)


def test_the_console_hides_what_is_masked_now_and_was_then_if_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(tmp_path / "ring", 10).disk.close()
    (tmp_path / "nvr.toml").write_text(
        '[volume]\npath = "ring"\nsize_mib = 64\n'
        '[[camera]]\nname = "gate"\nurl = "rtsp://192.0.2.1/1"\n'
        "[[camera.mask]]\npoints_permille = [[0, 0], [500, 0], [500, 1000], [0, 1000]]\n"
    )
    right = written.MaskArea(points_permille=[(500, 0), (1000, 0), (1000, 1000), (500, 1000)])
    log = MaskLog(tmp_path / FILE)
    log.note([(gate(right), False)], synthetic.WALL_US - 9_000_000)
    log.note([(gate(LEFT), False)], synthetic.WALL_US + 600_000_000)
    begin, end = (
        datetime.fromtimestamp(synthetic.WALL_US / 1e6 + s, UTC).isoformat() for s in (0, 2)
    )

    def nvr(*words: str, status: int = 0) -> str:
        span = ("--data", str(tmp_path), "--camera", "gate", "--from", begin, "--to", end)
        assert main(["export", *words, *span, str(tmp_path / "a.mp4")]) == status
        said = capsys.readouterr()
        return said.out + said.err

    assert "export.masks" in nvr("--masks", "--form", "ps", status=1)
    assert "export.masks" in nvr("--masks", "--volume", str(tmp_path / "ring"), status=1)
    assert "masked, re-encoded: not evidence" in nvr("--masks")
    assert "masked, re-encoded" in (tmp_path / "a.mp4.json").read_text()
    with av.open(str(tmp_path / "a.mp4")) as container:
        lumas = [one.to_ndarray(format="gray") for one in container.decode(video=0)]
    assert len(lumas) > 30
    assert max(luma.max() for luma in lumas) < 30, "the left half now, the right one then"
    log.note([(gate(LEFT), True)], synthetic.WALL_US + 700_000_000)
    config = gate(LEFT)
    span = synthetic.WALL_US, synthetic.WALL_US + 1
    assert log.hidden(config, "gate", span) == masks_of(gate(right)), "burned in now"
    assert log.hidden(None, "gate", span) == masks_of(gate(right))
    assert MaskLog(tmp_path / "none").hidden(config, "gate", span) == masks_of(config)


async def test_a_dome_hides_what_it_films_and_its_pictures_stay_for_everybody(
    tmp_path: Path,
) -> None:
    async with running_box(tmp_path) as box:
        body = {"masks": [{"points_permille": [[0, 0], [1000, 0], [1000, 1000], [0, 1000]]}]}
        await box.call("PUT", "/api/camera/dome/mask", body)
        (seen,) = await box.call("GET", "/api/camera")
        assert (seen["masks_burned"], len(seen["masks"])) == (True, 1)
        for corners, many in ((3, 9), (2, 1), (17, 1)):
            bad = {"masks": [{"points_permille": [[0, 0]] * corners}] * many}
            refused = await box.call("PUT", "/api/camera/dome/mask", bad, status=400)
            assert refused["code"] == "mask.invalid"
    (path,) = tmp_path.rglob("nvr.toml")  # noqa: ASYNC240 - the box is gone
    text = path.read_text()
    assert "[[camera.mask]]" in text
    assert check(text) == []
