"""The keys of the archive over HTTP, on a real volume."""

from pathlib import Path

import pytest

from nvr.app.keydesk import KeyDesk
from nvr.record.keys import day_of
from nvr.seal import root
from nvr.web.key import day_text
from tests.web.box import PASSWORD, running, sealed_volume

DAY = day_of(1_800_000_000_000_000)
DESTROY = {
    "camera": "gate", "first_day": day_text(DAY), "last_day": day_text(DAY), "why": "asked",
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path):
    with sealed_volume(
        tmp_path, [("gate/main", DAY), ("gate/sub", DAY), ("yard/main", DAY)]
    ) as made:
        yield made


async def test_an_administrator_makes_a_recovery_key_that_is_shown_once(
    desk: KeyDesk, tmp_path: Path
) -> None:
    async with running(tmp_path, keys=desk) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        async with box.client() as client:
            await client.log_in("owner")
            status, before, _ = await client.ask("GET", "/api/key")
            assert (status, before["owner"], before["keys"], before["foreign"]) == (200, "", 3, 0)
            assert before["first_day"] == before["last_day"] == day_text(DAY)
            assert before["suite"] in {"AES-256-GCM", "ChaCha20-Poly1305"}
            status, made, _ = await client.ask("POST", "/api/key/recovery", {})
            assert (status, made["without"]) == (201, 0)
            private = root.from_words(made["recovery_key"])
            assert root.fingerprint(root.public_of(private)) == made["owner"]
            after = (await client.ask("GET", "/api/key"))[1]
            assert after["owner"] == made["owner"]
            assert made["recovery_key"] not in str((await client.ask("GET", "/api/audit"))[1])
            status, told, _ = await client.ask("POST", "/api/key/rotate", {})
            assert (status, told["left"]) == (200, 0)
            assert (await client.ask("GET", "/api/key"))[1]["box"] != before["box"]
            for path, word, status in (
                ("PUT passphrase", "short", 400), ("PUT passphrase", "correct horse", 200),
                ("POST unlock", "correct horse", 200), ("POST unlock", "wrong", 400),
            ):  # fmt: skip
                method, _, name = path.partition(" ")
                body = {"passphrase": word}
                assert (await client.ask(method, f"/api/key/{name}", body))[0] == status, path
            now = (await client.ask("GET", "/api/key"))[1]
            assert (now["passphrase"], now["locked"]) == (True, False)
            assert "correct horse" not in str((await client.ask("GET", "/api/audit"))[1])
            again = {"recovery_key": made["recovery_key"]}
            assert (await client.ask("POST", "/api/key/adopt", again))[1] == {
                "left": 0, "new_key": False
            }  # fmt: skip
            status, told, _ = await client.ask("POST", "/api/key/adopt", {"recovery_key": "ABC"})
            assert (status, told["code"]) == (400, "key.mistyped")


async def test_days_are_destroyed_for_a_reason_by_an_administrator_only(
    desk: KeyDesk, tmp_path: Path
) -> None:
    async with running(tmp_path, keys=desk) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        box.parts.cameras.put("gate", "Gate")
        await box.user("op", "operator", {"gate": ["live", "playback", "config"]})
        async with box.client() as client:
            await client.log_in("op")
            for method, path in (("GET", ""), ("POST", "/recovery"), ("POST", "/destroy")):
                body = DESTROY if method == "POST" else None
                assert (await client.ask(method, f"/api/key{path}", body))[0] == 403
            await client.log_in("owner")
            for wrong in ({"why": " "}, {"first_day": "soon"}, {"last_day": "2020-01-01"}):
                status, told, _ = await client.ask("POST", "/api/key/destroy", DESTROY | wrong)
                assert (status, told["code"]) == (400, "key.invalid"), wrong
            assert (await client.ask("POST", "/api/key/destroy", DESTROY))[1] == {"keys": 2}
            status, told, _ = await client.ask("POST", "/api/key/destroy", DESTROY)
            assert (status, told["code"]) == (404, "key.nothing")
            rows = (await client.ask("GET", "/api/audit"))[1]["rows"]
    said = [(row["outcome"], row["reason"]) for row in rows if "key/destroy" in row["action"]]
    assert ("ok", f"gate {day_text(DAY)} to {day_text(DAY)}: asked") in said
