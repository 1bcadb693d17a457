"""`GET /metrics`: who may ask, and of which cameras."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from nvr.auth.user import rights_of
from nvr.wire.openmetrics import Family
from tests.web.box import PASSWORD, running


def basic(name: str, secret: str) -> dict[str, str | None]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


async def families(may: Callable[[str], bool]) -> Sequence[Family]:
    found = Family("nvr_camera_live", "gauge", "Pictures come.")
    for camera in filter(may, ("gate", "yard")):
        found.add(1, camera=camera)
    return (found, Family("nvr_none", "gauge", "Nothing."))


def cameras(raw: object) -> list[str]:
    assert isinstance(raw, bytes)
    (family,) = text_string_to_metric_families(raw.decode())
    return [sample.labels["camera"] for sample in family.samples]


async def test_accounts_and_machines_are_told_of_the_cameras_they_may_see(tmp_path: Path) -> None:
    async with running(tmp_path, metrics=families) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        await box.user("op", "operator", {"yard": ["live"], "gate": ["playback"]})
        _, secret = box.parts.machines.add("prometheus", rights_of({"gate": ["live"]}))
        _, blind = box.parts.machines.add("blind", rights_of({"gate": ["playback"]}))
        async with box.client() as client:
            assert (await client.ask("GET", "/metrics"))[0] == 401
            status, raw, response = await client.ask(
                "GET", "/metrics", headers=basic("prometheus", secret)
            )
            assert (status, cameras(raw)) == (200, ["gate"])
            assert response.headers["Content-Type"].startswith("application/openmetrics-text")
            status, raw, _ = await client.ask("GET", "/metrics", headers=basic("blind", blind))
            assert (status, raw) == (200, b"# EOF\n")
            login = basic("prometheus", secret)
            assert (await client.ask("GET", "/api/ring", headers=login))[0] == 401, "only this"
            await client.log_in("op")
            status, raw, _ = await client.ask("GET", "/metrics")
            assert (status, cameras(raw)) == (200, ["yard"])


async def test_guessing_a_secret_is_slowed_down_and_a_revoked_one_ends(tmp_path: Path) -> None:
    async with running(tmp_path, metrics=families) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        _, secret = box.parts.machines.add("prometheus", rights_of({"*": ["live"]}))
        async with box.client() as client:
            for wrong in (
                "Bearer x",
                "Basic !",
                "Basic " + base64.b64encode(b"\xff:\xff").decode(),
            ):
                status, told, _ = await client.ask(
                    "GET", "/metrics", headers={"Authorization": wrong}
                )
                assert (status, told["code"]) == (401, "auth.wrong")
            box.parts.machines.remove("prometheus")
            for _ in range(6):
                status, told, _ = await client.ask(
                    "GET", "/metrics", headers=basic("prometheus", secret)
                )
            assert (status, told["code"]) == (429, "auth.throttled")
            assert (await client.ask("GET", "/metrics", headers=basic("owner", PASSWORD)))[0] == 429
