"""The size of the volume over HTTP: said before, agreed to, by an administrator."""

from pathlib import Path

from tests.web.box import PASSWORD, MemoryArchive, running

SIZE = "/api/ring/size"


async def test_a_smaller_volume_is_agreed_to_before_anything_is_lost(tmp_path: Path) -> None:
    archive = MemoryArchive(200 << 20)
    async with running(tmp_path, archive=archive) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        async with box.client() as client:
            await client.log_in("owner")
            status, plan, _ = await client.ask("GET", f"{SIZE}?size_mib=100")
            assert (status, plan["asked_bytes"], plan["refused"]) == (200, 100 << 20, None)
            (lost,) = plan["lost"]
            assert (lost["camera"], lost["to_us"] - lost["from_us"]) == ("gate", 3_600_000_000)
            status, told, _ = await client.ask("POST", SIZE, {"size_mib": 100})
            assert (status, told["code"]) == (409, "size.unconfirmed")
            assert archive.wanted_bytes == 200 << 20
            body = {"size_mib": 100, "give_up": True}
            assert (await client.ask("POST", SIZE, body))[0] == 200
            ring = (await client.ask("GET", "/api/ring"))[1]
            assert (ring["size_bytes"], ring["wanted_bytes"]) == (200 << 20, 100 << 20)
            assert "gate/main" in str((await client.ask("GET", "/api/audit"))[1])
            assert (await client.ask("POST", SIZE, {"size_mib": 300}))[0] == 200, "nothing is lost"


async def test_a_size_that_cannot_be_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, archive=MemoryArchive()) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        await box.user("op", "operator", {"gate": ["live", "playback", "config"]})
        async with box.client() as client:
            await client.log_in("op")
            assert (await client.ask("GET", f"{SIZE}?size_mib=100"))[0] == 403
            assert (await client.ask("POST", SIZE, {"size_mib": 100}))[0] == 403
            await client.log_in("owner")
            for wrong in (1, 64 << 21, "x"):
                status, told, _ = await client.ask("GET", f"{SIZE}?size_mib={wrong}")
                assert (status, told["code"]) == (400, "body.invalid")
                assert (await client.ask("POST", SIZE, {"size_mib": wrong}))[0] == 400
            status, told, _ = await client.ask("GET", f"{SIZE}?size_mib=100&volume=other")
            assert (status, told["code"]) == (404, "volume.unknown")
            plan = (await client.ask("GET", f"{SIZE}?size_mib={4 << 20}"))[1]
            assert plan["refused"]["code"] == "size.no_room"
            status, told, _ = await client.ask("POST", SIZE, {"size_mib": 4 << 20})
            assert (status, told["code"]) == (409, "size.no_room")
