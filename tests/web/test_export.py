"""Background exports over the API: who may, what they see of others', and what the log says."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nvr.export.order import Wanted
from nvr.hal.virtual_stick import VirtualSticks
from tests.web.box import PASSWORD, Box, Client, Pieces, running

BODY = {"cameras": ["gate", "dock"], "from_us": 110, "to_us": 190}


@pytest.fixture
def make() -> Pieces:
    made = Pieces()
    made.pieces = 2
    return made


@pytest.fixture
def sticks(tmp_path: Path) -> VirtualSticks:
    return VirtualSticks(tmp_path / "usb")


@pytest.fixture
async def people(tmp_path: Path, make: Pieces, sticks: VirtualSticks) -> AsyncIterator[Box]:
    async with running(tmp_path, make=make, sticks=[sticks]) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        for name in ("gate", "yard", "dock"):
            box.parts.cameras.put(name, name)
        await box.user("op", "operator", {"gate": ["live", "export"], "dock": ["live", "export"]})
        await box.user("other", "operator", {"*": ["live", "playback", "export"]})
        await box.user("guard", "operator", {"gate": ["live", "playback"]})
        rights = {"gate": frozenset({"playback", "export"})}
        await box.parts.users.add("then", "operator", PASSWORD, rights, (100, 200))
        yield box


async def done(client: Client, number: int) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            _, jobs, _ = await client.ask("GET", "/api/export")
            job = next(one for one in jobs if one["number"] == number)
            if job["state"] in {"done", "failed"}:
                return dict(job)
            await asyncio.sleep(0.05)


async def test_an_export_is_made_watched_fetched_and_removed(people: Box, make: Pieces) -> None:
    async with people.client() as client:
        await client.log_in("op")
        status, job, _ = await client.ask("POST", "/api/export", {**BODY, "form": "evidence"})
        assert (status, job["state"], job["by"]) == (201, "queued", "op")
        status, job, _ = await client.ask("POST", "/api/export/1/pause", {})
        assert (status, job["state"]) == (200, "paused")
        status, job, _ = await client.ask("POST", "/api/export/1/resume", {})
        for _ in range(4):
            make.go.release()
        job = await done(client, 1)
        assert not make.asked[0].everything, "the whole log is not for everybody"
        assert [file["name"] for file in job["files"]] == ["gate.mp4", "dock.mp4"]
        status, data, response = await client.ask("GET", "/api/export/1/gate.mp4")
        assert (status, data) == (200, b"A" * 10 + b"B" * 10)
        assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''gate.mp4"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        part = {"Range": "bytes=10-"}
        status, data, _ = await client.ask("GET", "/api/export/1/gate.mp4", headers=part)
        assert (status, data) == (206, b"B" * 10)
        for path in ("1/job.json", "1/..%2fjob.json", "2/gate.mp4", "x/gate.mp4"):
            assert (await client.ask("GET", f"/api/export/{path}"))[0] == 404
        assert (await client.ask("DELETE", "/api/export/1"))[0] == 200
        assert (await client.ask("GET", "/api/export"))[1] == []
        await client.log_in("owner")
        _, log, _ = await client.ask("GET", "/api/audit")
    said = [
        (row["action"].removeprefix("http "), row["target"], row["reason"])
        for row in reversed(log["rows"])
        if "export" in row["action"] and row["outcome"] == "ok"
    ]
    assert said == [
        ("GET /api/camera/{name}/export", "gate", "evidence 1: 110 to 190"),
        ("GET /api/camera/{name}/export", "dock", "evidence 1: 110 to 190"),
        ("POST /api/export", "", "evidence gate, dock: 110 to 190"),
        ("GET /api/export/{number}/{file}", "gate", "1: gate.mp4"),
        ("GET /api/export/{number}/{file}", "dock", "1: gate.mp4"),
        ("DELETE /api/export/{number}", "", "1: gate, dock"),
    ]


async def test_nobody_exports_what_is_not_his(people: Box) -> None:
    async with people.client() as client:
        for who, body, code in (
            ("guard", {**BODY, "cameras": ["gate"]}, "auth.denied"),
            ("op", {**BODY, "cameras": ["gate", "yard"]}, "camera.unknown"),
            ("then", {**BODY, "cameras": ["gate"], "to_us": 201}, "auth.denied"),
            ("op", {**BODY, "cameras": []}, "body.invalid"),
            ("op", {**BODY, "from_us": 190}, "body.invalid"),
            ("op", {**BODY, "form": "avi"}, "body.invalid"),
            ("op", {**BODY, "form": "ps", "captions": True}, "body.invalid"),
            ("op", {**BODY, "form": "evidence", "captions": True}, "body.invalid"),
            ("op", {**BODY, "from_us": 1}, "export.nothing"),
            ("other", {**BODY, "cameras": ["no-such"]}, "camera.unknown"),
        ):
            await client.log_in(who)
            status, told, _ = await client.ask("POST", "/api/export", body)
            assert (status >= 400, told["code"]) == (True, code), (who, body)
    assert people.parts.exports.all() == []


async def test_an_export_is_its_makers_and_the_administrators(people: Box, make: Pieces) -> None:
    async with people.client() as client:
        await client.log_in("op")
        await client.ask("POST", "/api/export", BODY)
        for _ in range(4):
            make.go.release()
        await done(client, 1)
        for who in ("other", "guard"):
            await client.log_in(who)
            assert (await client.ask("GET", "/api/export"))[1] == []
            assert (await client.ask("GET", "/api/export/1/gate.mp4"))[0] == 404
            assert (await client.ask("DELETE", "/api/export/1"))[0] == 404
            assert (await client.ask("POST", "/api/export/1/pause", {}))[0] == 404
        await client.log_in("owner")
        assert len((await client.ask("GET", "/api/export"))[1]) == 1
        await client.ask("PATCH", "/api/user/op", {"rights": {"gate": ["live", "export"]}})
        await client.log_in("op")
        assert (await client.ask("GET", "/api/export"))[1] == [], "a right that was taken away"
        assert (await client.ask("GET", "/api/export/1/gate.mp4"))[0] == 404


async def test_an_administrators_evidence_has_all_of_the_log(people: Box, make: Pieces) -> None:
    async with people.client() as client:
        await client.log_in("owner")
        await client.ask("POST", "/api/export", {**BODY, "form": "evidence"})
        for _ in range(4):
            make.go.release()
        await done(client, 1)
    assert make.asked[0].everything


async def test_an_export_onto_a_stick_is_offered_made_and_logged(
    people: Box, make: Pieces, sticks: VirtualSticks, tmp_path: Path
) -> None:
    for _ in range(20):
        make.go.release()
    async with people.client() as client:
        await client.log_in("op")
        _, targets, _ = await client.ask("GET", "/api/export/target")
        assert [one["kind"] for one in targets] == ["download"]
        sticks.plug_in(["blue"])
        _, targets, _ = await client.ask("GET", "/api/export/target")
        stick = targets[1]
        assert (stick["kind"], stick["title"], stick["file_system"]) == (
            "usb", "blue (simulated)", "fat32",
        )  # fmt: skip
        assert stick["free_bytes"] > 0
        body = {**BODY, "target": stick["name"]}
        status, job, _ = await client.ask("POST", "/api/export", body)
        assert (status, job["target"], job["safe"]) == (201, "usb:sim-blue", None)
        job = await done(client, 1)
        assert (job["state"], job["safe"]) == ("done", True), job
        assert job["place"].startswith("blue (simulated): nvr-export-")
        status, told, _ = await client.ask("GET", "/api/export/1/gate.mp4")
        assert (status, told["code"]) == (403, "export.elsewhere")
        assert sorted(path.name for path in (tmp_path / "usb").rglob("*.*") if path.is_file()) == [
            "SHA256SUMS.txt", "dock.mp4", "gate.mp4",
        ]  # fmt: skip
        status, told, _ = await client.ask("POST", "/api/export", body)
        assert told["code"] == "export.no_target", "it is out"
        await client.log_in("guard")
        assert (await client.ask("GET", "/api/export/target"))[1] == []
        await client.log_in("owner")
        _, log, _ = await client.ask("GET", "/api/audit")
    rows = [
        (row["action"], row["who"], row["source"], row["target"], row["reason"])
        for row in log["rows"]
        if row["target"] == "gate" and "export" in row["action"]
    ]
    assert rows == [
        ("export.ended", "op", "usb:sim-blue", "gate", f"1: gate.mp4, dock.mp4 to {job['place']}"),
        (
            "http GET /api/camera/{name}/export", "op", "127.0.0.1", "gate",
            "mp4 1: 110 to 190 to usb:sim-blue",
        ),
    ]  # fmt: skip


async def test_a_stick_pulled_too_early_is_a_failure_in_the_log_and_the_next_is_made(
    people: Box, make: Pieces, sticks: VirtualSticks, tmp_path: Path
) -> None:
    sticks.plug_in(["blue"])
    async with people.client() as client:
        await client.log_in("owner")
        body = {**BODY, "target": "usb:sim-blue"}
        await client.ask("POST", "/api/export", body)
        make.go.release()
        async with asyncio.timeout(10):
            while people.parts.exports.get(1).written_bytes < 10:
                await asyncio.sleep(0.01)
        (tmp_path / "usb" / "blue").rename(tmp_path / "usb" / ".blue")
        job = await done(client, 1)
        assert (job["state"], job["code"], job["safe"]) == ("failed", "usb.gone", False)
        for _ in range(20):
            make.go.release()
        await client.ask("POST", "/api/export", BODY)
        assert (await done(client, 2))["state"] == "done"
        _, log, _ = await client.ask("GET", "/api/audit")
    said = [
        (row["outcome"], row["reason"]) for row in log["rows"] if row["action"] == "export.ended"
    ]
    assert said == [("failed", "usb.gone")] * 2, "one a camera"


async def test_a_stick_stays_in_for_the_next_export(
    people: Box, make: Pieces, sticks: VirtualSticks
) -> None:
    sticks.plug_in(["blue"])
    async with people.client() as client:
        await client.log_in("owner")
        body = {**BODY, "target": "usb:sim-blue"}
        for _ in range(2):
            await client.ask("POST", "/api/export", body)
        for _ in range(4):
            make.go.release()
        first = await done(client, 1)
        assert (first["state"], first["safe"]) == ("done", False)
        assert sticks.found()
        for _ in range(4):
            make.go.release()
        second = await done(client, 2)
        assert (second["state"], second["safe"]) == ("done", True)
        assert (await done(client, 1))["safe"] is True
        assert sticks.found() == []
    assert first["place"] != second["place"]


async def test_evidence_too_big_for_fat_is_refused_before_it_is_begun(
    people: Box, make: Pieces, sticks: VirtualSticks
) -> None:
    sticks.plug_in(["blue"])
    make.size_bytes = lambda _: 5_000_000_000  # type: ignore[method-assign]
    async with people.client() as client:
        await client.log_in("owner")
        body = {**BODY, "form": "evidence", "target": "usb:sim-blue"}
        _, told, _ = await client.ask("POST", "/api/export", body)
    assert told["code"] == "export.too_big"
    assert "5.0 GB" in told["detail"]
    assert people.parts.exports.all() == []


async def test_captions_are_asked_for_and_what_the_font_lacks_is_said(
    people: Box, make: Pieces
) -> None:
    async with people.client() as client:
        await client.log_in("op")
        _, job, _ = await client.ask("POST", "/api/export", {**BODY, "captions": True})
        assert (job["captions"], job["missing"]) == (False, ""), "both pictures carry theirs"
        await client.ask("DELETE", "/api/export/1")
        people.parts.cameras.put("dock", "dock", caption_burned=False)
        _, job, _ = await client.ask("POST", "/api/export", {**BODY, "captions": True})
        assert (job["form"], job["captions"], job["missing"]) == ("mp4", True, "ก")
        _, ps, _ = await client.ask("POST", "/api/export", {**BODY, "form": "ps"})
        assert (ps["form"], ps["captions"], ps["missing"]) == ("ps", False, "")
        for _ in range(12):
            make.go.release()
        await done(client, ps["number"])
        made = [(one.form, one.captions) for one in make.asked[-2:]]
        assert made == [("mp4", True), ("ps", False)]
        await client.log_in("owner")
        _, log, _ = await client.ask("GET", "/api/audit")
    assert "mp4 with captions gate, dock: 110 to 190" in [row["reason"] for row in log["rows"]]


async def test_each_form_has_its_type(people: Box, make: Pieces) -> None:
    def files(wanted: Wanted) -> Iterator[tuple[str, Iterator[tuple[bytes, float]]]]:
        for name in ("a.mp4", "b.mpg", "c.zip"):
            yield name, iter([(b"x", 1.0)])

    make.files = files  # type: ignore[method-assign]
    async with people.client() as client:
        await client.log_in("op")
        await client.ask("POST", "/api/export", BODY)
        await done(client, 1)
        types = [
            (await client.ask("GET", f"/api/export/1/{name}"))[2].content_type
            for name in ("a.mp4", "b.mpg", "c.zip")
        ]
    assert types == ["video/mp4", "video/mp2p", "application/zip"]
