"""What the box recorded, found and fetched over ONVIF by `onvif-zeep-async` and over RTSP."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from zeep.exceptions import Fault

from nvr.media.fragment import pieces, samples
from nvr.media.track import TrackConfig
from tests.app.box import running_box
from tests.app.test_onvif_device import Device
from tests.ports import free_port
from tests.serve.replayer import Replayer, replayer

pytestmark = pytest.mark.asyncio(loop_scope="module")
VIDEO = (TrackConfig("video", "h264", 90_000, b"", 1280, 720),)
RECORDED_S = 6
RANGES = f"/api/camera/dome/ranges?from_us=0&to_us={10**16}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def device(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Device]:
    directory: Path = tmp_path_factory.mktemp("box")
    async with running_box(directory, "# one more comes later") as box:
        device = Device(box, free_port())
        await device.switch_on()
        await device.credential("host", "live", "playback", "unmasked")
        await device.credential("viewer", "live", "unmasked")
        async with asyncio.timeout(120):
            while True:
                runs = (await box.call("GET", RANGES))["runs"]
                if runs and runs[-1]["to_us"] - runs[-1]["from_us"] > RECORDED_S * 1_000_000:
                    break
                await asyncio.sleep(0.5)
        yield device


def stamp(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y%m%dT%H%M%S.%f}Z"


async def opened(reader: Replayer) -> bytes:
    status, _, sdp = await reader.ask("DESCRIBE", Accept="application/sdp")
    assert status == 200
    setup = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1", "Require": "onvif-replay"}
    assert (await reader.ask("SETUP", f"{reader.url}/track=0", **setup))[0] == 200
    return sdp


async def first_run(device: Device) -> tuple[int, int]:
    run = (await device.box.call("GET", RANGES))["runs"][0]
    return run["from_us"], run["to_us"]


async def test_recordings_are_found_described_and_have_a_place(device: Device) -> None:
    async with device.camera("host") as camera:
        search = await camera.create_search_service()
        summary = await search.GetRecordingSummary()
        assert summary.NumberRecordings == 1
        from_us, _ = await first_run(device)
        assert abs(summary.DataFrom.timestamp() - from_us / 1e6) < 0.01
        token = await search.FindRecordings({"Scope": {}, "KeepAliveTime": "PT10S"})
        found = await search.GetRecordingSearchResults({"SearchToken": token})
        assert found.SearchState == "Completed"
        (one,) = found.RecordingInformation
        assert (one.RecordingToken, one.RecordingStatus) == ("dome.main", "Recording")
        assert one.Track[0].TrackToken == "VIDEO001"
        again = await search.GetRecordingSearchResults({"SearchToken": token})
        assert again.RecordingInformation == []
        await search.EndSearch({"SearchToken": token})
        with pytest.raises(Fault):
            await search.GetRecordingSearchResults({"SearchToken": token})
        named = {"RecordingToken": "dome.main"}
        assert (await search.GetRecordingInformation(named)).Source.Name == "dome"
        at = datetime.fromtimestamp(from_us / 1e6 + 1, UTC)
        (held,) = await search.GetMediaAttributes({"RecordingTokens": ["dome.main"], "Time": at})
        assert held.TrackAttributes[0].VideoAttributes.Width == 1280
        await search.GetServiceCapabilities()
        control = await camera.create_recording_service()
        assert [one.RecordingToken for one in await control.GetRecordings()] == ["dome.main"]
        assert (await control.GetRecordingJobs())[0].JobConfiguration.Mode == "Active"
        await control.GetRecordingConfiguration(named)
        await control.GetTrackConfiguration({**named, "TrackToken": "VIDEO001"})
        await control.GetRecordingJobConfiguration({"JobToken": "dome.main"})
        assert (await control.GetRecordingJobState({"JobToken": "dome.main"})).State == "Active"
        replay = await camera.create_replay_service()
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        uri = await replay.GetReplayUri({"StreamSetup": setup, **named})
        assert uri == f"rtsp://127.0.0.1:{device.box.rtsp_port}/rec/dome"
        await replay.GetReplayConfiguration()


async def test_begin_and_end_of_recording_are_events_of_the_past(device: Device) -> None:
    from_us, _ = await first_run(device)
    start = datetime.fromtimestamp(from_us / 1e6, UTC) - timedelta(seconds=60)
    async with device.camera("host") as camera:
        search = await camera.create_search_service()
        token = await search.FindEvents(
            {"StartPoint": start, "Scope": {}, "SearchFilter": {}, "IncludeStartState": True,
             "KeepAliveTime": "PT10S"}
        )  # fmt: skip
        found = (await search.GetEventSearchResults({"SearchToken": token})).Result
    begun = [one for one in found if not one.StartStateEvent]
    assert abs(begun[0].Time.timestamp() - from_us / 1e6) < 0.01
    values = [one.Event.Message._value_1.Data.SimpleItem[0].Value for one in found]
    assert values[:4] == ["false", "false", "true", "true"]


async def test_times_that_nobody_lived_in_and_numbers_without_end_are_borne(
    device: Device,
) -> None:
    tse = "http://www.onvif.org/ver10/search/wsdl"
    for start in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        body = (
            f"<FindEvents xmlns='{tse}'><StartPoint>{start}</StartPoint><Scope/>"
            f"<IncludeStartState>true</IncludeStartState><MaxMatches>{'9' * 5000}</MaxMatches>"
            "</FindEvents>"
        )
        assert (await device.post(device.signed("host", body)))[0] == 200
    async with replayer(device.box.rtsp_port, "rec/dome", "host", device.secrets["host"]) as reader:
        await opened(reader)
        far = {"Range": "clock=99991231T235959Z-", "Rate_Control": "no"}
        assert (await reader.ask("PLAY", **far))[0] == 200


@pytest.mark.needs("gst-onvif")
async def test_gstreamer_reads_our_times_out_of_the_extension(device: Device) -> None:
    from_us, to_us = await first_run(device)
    process = await asyncio.create_subprocess_exec(
        "gst-launch-1.0", "rtspsrc", "user-id=host", f"user-pw={device.secrets['host']}",
        f"location=rtsp://127.0.0.1:{device.box.rtsp_port}/rec/dome", "protocols=tcp",
        "onvif-mode=true", "onvif-rate-control=false", "!", "rtponvifparse", "!", "rtph264depay",
        "!", "h264parse", "!", "fakesink", "num-buffers=30", "silent=false", "-v",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(120):
        out, _ = await process.communicate()
    seen = re.findall(r"chain .*pts: (\d+):(\d\d):(\d\d)\.(\d{6})", out.decode())
    assert len(seen) > 20, out[-2000:]
    for hours, minutes, seconds, us in seen:
        at_s = int(hours) * 3600 + int(minutes) * 60 + int(seconds) - 2_208_988_800
        assert from_us - 5_000_000 <= at_s * 1_000_000 + int(us) <= to_us + 120_000_000


async def test_who_may_not_play_back_finds_nothing_and_fetches_nothing(device: Device) -> None:
    async with device.camera("viewer") as camera:
        search = await camera.create_search_service()
        assert (await search.GetRecordingSummary()).NumberRecordings == 0
        with pytest.raises(Fault, match="no such recording"):
            await search.GetRecordingInformation({"RecordingToken": "dome.main"})
    port, secret = device.box.rtsp_port, device.secrets["viewer"]
    async with replayer(port, "rec/dome", "viewer", secret) as reader:
        assert (await reader.ask("DESCRIBE"))[0] == 403


async def test_a_replay_brings_every_picture_with_its_time(device: Device) -> None:
    from_us, to_us = await first_run(device)
    begin_us = from_us + 1_500_000
    end_us = min(to_us, begin_us + 3_000_000)
    began_s = time.monotonic()
    async with replayer(device.box.rtsp_port, "rec/dome", "host", device.secrets["host"]) as reader:
        sdp = await opened(reader)
        assert b"a=x-onvif-track:VIDEO001" in sdp
        status, told, _ = await reader.ask(
            "PLAY", Require="onvif-replay", Rate_Control="no",
            Range=f"clock={stamp(begin_us)}-{stamp(end_us)}",
        )  # fmt: skip
        assert (status, told["rate-control"]) == (200, "no")
        cseq = reader.cseq
        await reader.until(lambda units: units and "T" in units[-1].flags)
        units = reader.units
    # The same pictures as the page is given, in order, none left out.
    at_us, place, wanted = begin_us, "", []
    while at_us is not None and at_us < end_us:
        path = f"{device.box.url}/api/camera/dome/gop?t_us={at_us}{place}"
        async with device.box.session.get(path) as answer:
            data = await answer.read()
            headers = answer.headers
        wanted += [one for piece in pieces(data) for one in samples(piece, VIDEO) if one.track == 0]
        following = headers["X-NVR-Next-Us"]
        at_us = int(following) if following else None
        place = f"&place={headers['X-NVR-Next']}"
    bodies = [b"".join(len(nal).to_bytes(4, "big") + nal for nal in unit.nals) for unit in units]
    # Of the last one only the first packet was waited for.
    for unit, body, sample in zip(units[:-1], bodies, wanted, strict=False):
        assert ("C" in unit.flags) == sample.key
        assert body == sample.data or (sample.key and body.endswith(sample.data))
    assert len(units) > 20
    assert units[0].flags == "CD"
    assert "E" in units[-1].flags
    assert units[0].at_us <= begin_us < units[-1].at_us < end_us
    steps = [b.at_us - a.at_us for a, b in pairwise(units)]
    assert all(0 < step < 500_000 for step in steps)
    assert {unit.cseq for unit in units} == {cseq & 0xFF}
    assert time.monotonic() - began_s < 60


async def test_a_replay_is_paced_paused_and_goes_on_where_it_stood(device: Device) -> None:
    from_us, _ = await first_run(device)
    async with replayer(device.box.rtsp_port, "rec/dome", "host", device.secrets["host"]) as reader:
        await opened(reader)
        assert (await reader.ask("PLAY", Range=f"clock={stamp(from_us)}-"))[0] == 200
        began_s = time.monotonic()
        await reader.until(lambda units: units and units[-1].at_us - units[0].at_us > 1_000_000)
        assert time.monotonic() - began_s > 0.8
        assert (await reader.ask("PAUSE"))[0] == 200
        stood_us = reader.units[-1].at_us
        reader.units.clear()
        assert (await reader.ask("PLAY", Rate_Control="no", Frames="intra"))[0] == 200
        await reader.until(len)
        assert abs(reader.units[0].at_us - stood_us) < 5_000_000
        assert "C" in reader.units[0].flags
        assert (await reader.ask("GET_PARAMETER"))[0] == 200
        assert (await reader.ask("TEARDOWN"))[0] == 200


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"Range": "clock=20260101T000000Z-20250101T000000Z"}, 457),
        ({"Range": "clock=2026-01-01T00:00:00Z-"}, 457),
        ({"Range": "clock=20261399T000000Z-"}, 457),
        ({"Range": "smpte=0:10:00-"}, 457),
        ({"Scale": "-1.0", "Range": "clock=20250101T000000Z-20260101T000000Z"}, 457),
        ({"Scale": "-100"}, 451),
        ({"Scale": "0"}, 451),
        ({"Scale": "nan"}, 451),
        ({"Scale": "fast"}, 451),
        ({"Require": "telepathy"}, 551),
    ],
)
async def test_what_cannot_be_played_is_refused(device: Device, said, status) -> None:
    async with replayer(device.box.rtsp_port, "rec/dome", "host", device.secrets["host"]) as reader:
        await opened(reader)
        assert (await reader.ask("PLAY", **said))[0] == status
        assert (await reader.ask("PLAY", Rate_Control="no"))[0] == 200


async def test_what_lay_under_masks_is_not_fetched_by_who_may_not_see_it(device: Device) -> None:
    await device.credential("blind", "live", "playback")
    url = f"rtsp://127.0.0.1:{device.box.dome_port}/dome"
    await device.box.call("POST", "/api/camera", {"name": "yard", "url": url}, 201)
    corner = {"points_permille": [[0, 0], [500, 0], [500, 500], [0, 500]]}

    async def recorded_us() -> int:
        return int((await device.box.camera("yard"))["recorded_until_us"])

    async def beyond(at_us: int) -> None:
        async with asyncio.timeout(120):
            while await recorded_us() < at_us:
                await asyncio.sleep(0.2)

    await device.box.call("PUT", "/api/camera/yard/mask", {"masks": [corner]})
    begun_us = time.time_ns() // 1000
    await beyond(begun_us + 2_000_000)
    port, secret = device.box.rtsp_port, device.secrets["blind"]
    async with replayer(port, "rec/yard", "blind", secret) as reader:
        assert (await reader.ask("DESCRIBE"))[0] == 403  # it is masked now
    await device.box.call("PUT", "/api/camera/yard/mask", {"masks": []})
    ended_us = time.time_ns() // 1000
    await beyond(ended_us + 25_000_000)  # more than one group of pictures is without
    async with replayer(port, "rec/yard", "blind", secret) as reader:
        await opened(reader)
        for at_us in (0, begun_us + 1_000_000):
            assert (await reader.ask("PLAY", Range=f"clock={stamp(at_us)}-"))[0] == 403
        # The span is free, but its first picture hangs on one that was masked.
        just_us = ended_us + 100_000
        headers, _ = await device.box.take(f"/api/camera/yard/gop?t_us={just_us}")
        if int(headers["X-NVR-From-Us"]) < ended_us:
            status, _, _ = await reader.ask("PLAY", Range=f"clock={stamp(just_us)}-")
            assert status == 403
        later_us = ended_us + 20_000_000
        fast = {"Rate_Control": "no", "Range": f"clock={stamp(later_us)}-"}
        assert (await reader.ask("PLAY", **fast))[0] == 200
        await reader.until(len)
        assert reader.units[0].at_us > ended_us


@pytest.mark.needs("ffmpeg")
async def test_ffmpeg_plays_what_was_recorded(device: Device) -> None:
    process = await asyncio.create_subprocess_exec(
        "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-count_frames", "-read_intervals",
        "%+2", "-show_entries", "stream=codec_name,width,nb_read_frames", "-of", "default=nk=1",
        f"rtsp://host:{device.secrets['host']}@127.0.0.1:{device.box.rtsp_port}/rec/dome",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    told = out.decode().split()
    assert "h264" in told, (out, err)
    assert "1280" in told
    assert int(told[told.index("1280") + 1]) > 10
