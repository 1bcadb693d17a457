"""`GET /metrics` of the shipped recorder, scraped as Prometheus does it."""

from pathlib import Path

import aiohttp
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from nvr import __version__
from tests.app.box import RunningBox, running_box


async def scraped(box: RunningBox, secret: str) -> dict[str, Metric]:
    login = {"Authorization": aiohttp.encode_basic_auth("prometheus", secret)}
    # Without the cookie of the person who made the credential.
    url, plain = f"{box.url}/metrics", aiohttp.DummyCookieJar()
    connector = aiohttp.TCPConnector(ssl=False)
    async with (
        aiohttp.ClientSession(headers=login, cookie_jar=plain, connector=connector) as session,
        session.get(url) as reply,
    ):
        assert reply.status == 200, await reply.text()
        return {each.name: each for each in text_string_to_metric_families(await reply.text())}


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    (sample,) = (s for s in found[name].samples if labels.items() <= s.labels.items())
    return float(sample.value)


async def test_what_is_recorded_and_what_is_not_is_counted(tmp_path: Path) -> None:
    lost = '[[camera]]\nname = "gone"\nurl = "rtsp://127.0.0.1:9/x"\n'
    async with running_box(tmp_path, lost) as box:
        await box.until("dome", "recorded_until_us", lambda us: us > 0)
        await box.until("gone", "not_recorded", lambda gap: gap is not None)
        body = {"name": "prometheus", "rights": {"*": ["live"]}}
        secret = (await box.call("POST", "/api/machine", body, status=201))["secret"]
        found = await scraped(box, secret)
        ring = await box.call("GET", "/api/ring")
        dome = {"camera": "dome", "stream": "main"}
        assert value(found, "nvr_camera_recording", **dome) == 1
        assert value(found, "nvr_camera_live", **dome) == 1
        assert 0 <= value(found, "nvr_camera_recorded_age_seconds", **dome) < 60
        assert value(found, "nvr_camera_frames", **dome) > 0
        assert value(found, "nvr_camera_connections", **dome) >= 1
        assert value(found, "nvr_camera_recording", camera="gone") == 0
        assert value(found, "nvr_camera_gaps", camera="gone", cause="camera") == 1
        assert value(found, "nvr_volume_size_bytes", volume=ring["uuid"]) == ring["size_bytes"]
        assert value(found, "nvr_volume_parts") > 0
        assert value(found, "nvr_volume_slowest_flush_seconds") > 0
        assert value(found, "nvr_volume_refusals") == 0
        assert value(found, "nvr_page_sessions") == 1
        assert found["nvr_build"].samples[0].labels == {"version": __version__}
        assert found["nvr_cpu_seconds"].type == "counter"
        assert {"nvr_load", "nvr_up_seconds", "nvr_promised_seconds"} <= found.keys()
