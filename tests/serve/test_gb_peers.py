"""A GB/T 28181 device against programs of others: SIPp's scenarios, and Kamailio as registrar."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.media.gb28181 import PlatformState
from nvr.serve.gb28181.platform import Platform as Device
from nvr.serve.gb28181.transport import open_wire
from tests.ports import free_port
from tests.serve.gb_platform import DEVICE, PASSWORD, REALM
from tests.serve.gb_world import world

HEADS = "[last_Via:]\n[last_From:]\n[last_To:];tag=p[call_number]\n[last_Call-ID:]\n[last_CSeq:]\n"
CHALLENGE = f'WWW-Authenticate: Digest realm="{REALM}", nonce="5f3a9c", algorithm=MD5, qop="auth"\n'
VERIFIED = (
    f'<action><verifyauth assign_to="ok" username="{DEVICE}" password="{PASSWORD}"/></action>'
)


def scenario(*steps: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><scenario name="gb">\n' + "\n".join(steps)
        + "\n</scenario>\n"
    )  # fmt: skip


def recv(method: str = "REGISTER", inner: str = "") -> str:
    return f'<recv request="{method}">{inner}</recv>'


def send(status: str, more: str = "") -> str:
    text = f"\nSIP/2.0 {status}\n{HEADS}{more}Content-Length: 0\n\n"
    return f"<send><![CDATA[{text}]]></send>"


@contextlib.asynccontextmanager
async def device(
    directory: Path, port: int, how: str = "udp", **other: int
) -> AsyncIterator[Device]:
    """A device that registers with 127.0.0.1."""
    it = world(directory)
    settings = replace(
        it.device.settings, host="127.0.0.1", port=port, transport=how, retry_s=600, **other
    )
    made = Device(it.device._parts, settings, PASSWORD, open_wire)
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        it.audit.close()


async def state(made: Device, **expected: str) -> PlatformState:
    async with asyncio.timeout(60):
        while any(getattr(made.state(), key) != value for key, value in expected.items()):
            await asyncio.sleep(0.05)
    return made.state()


@contextlib.asynccontextmanager
async def program(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    path = f"{os.environ['PATH']}:/usr/sbin"
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "PATH": path}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


@contextlib.asynccontextmanager
async def sipp(
    directory: Path, port: int, how: str, text: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """SIPp answers by a scenario, once."""
    file = directory / "scenario.xml"
    file.write_text(text, encoding="utf-8")
    async with program(
        "sipp", "-sf", str(file), "-i", "127.0.0.1", "-p", str(port), "-m", "1", "-nostdin",
        "-t", "t1" if how == "tcp" else "u1", "-timeout", "60", "-timeout_error",
    ) as process:  # fmt: skip
        await asyncio.sleep(1.0)  # it says nowhere that it listens; who comes sooner asks again
        yield process


@pytest.mark.needs("sip-tester")
@pytest.mark.parametrize("how", ["udp", "tcp"])
async def test_sipp_verifies_the_log_in(tmp_path: Path, how: str) -> None:
    port = free_port()
    text = scenario(
        recv(), send("401 Unauthorized", CHALLENGE), recv(inner=VERIFIED),
        '<nop test="ok" next="1"/>', send("403 Forbidden").replace("<send", '<send next="2"'),
        '<label id="1"/>',
        send("200 OK", "Expires: 3600\nX-GB-Ver: 2.0\nDate: 2026-11-30T19:00:00.000\n"),
        '<label id="2"/>',
    )  # fmt: skip
    async with sipp(tmp_path, port, how, text) as process, device(tmp_path, port, how) as made:
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        now = await state(made, edition="2016")  # it is gone by now, and what it said is kept
        assert now.clock_off_ms is not None


@pytest.mark.needs("sip-tester")
async def test_sipp_refuses(tmp_path: Path) -> None:
    port = free_port()
    text = scenario(recv(), send("403 Forbidden"))
    async with sipp(tmp_path, port, "udp", text), device(tmp_path, port) as made:
        now = await state(made, state="waiting")
        assert now.fault is not None
        assert now.fault.code == "gb.refused"


@pytest.mark.needs("sip-tester")
async def test_sipp_is_slow_and_is_asked_again(tmp_path: Path) -> None:
    port = free_port()
    text = scenario(recv(), '<pause milliseconds="2000"/>', send("200 OK", "Expires: 3600\n"))
    async with sipp(tmp_path, port, "udp", text), device(tmp_path, port) as made:
        assert (await state(made, state="registered")).repeated >= 2


@pytest.mark.needs("sip-tester")
async def test_sipp_sends_us_to_another(tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    (tmp_path / "other").mkdir()
    contact = f"Contact: <sip:34020000002000000002@127.0.0.1:{other}>\n"
    first = scenario(recv(), send("302 Moved Temporarily", contact))
    second = scenario(recv(), send("200 OK", "Expires: 3600\n"))
    async with (
        sipp(tmp_path / "other", other, "udp", second),
        sipp(tmp_path, port, "udp", first),
        device(tmp_path, port) as made,
    ):
        assert (await state(made, state="registered")).server == f"127.0.0.1:{other}"


KAMAILIO = """#!KAMAILIO
debug=-1
log_stderror=yes
children=1
disable_tcp=no
tcp_children=1
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "textops.so"
modparam("auth", "qop", "auth")
request_route {{
  if (is_method("REGISTER")) {{
    if (!pv_www_authenticate("{realm}", "{password}", "0")) {{
      auth_challenge("{realm}", "1");
      exit;
    }}
    if (!save("location")) sl_send_reply("500", "Not saved");
    exit;
  }}
  if (is_method("MESSAGE")) {{
    if (registered("location", "$fu")) sl_send_reply("200", "OK");
    else sl_send_reply("403", "Not registered");
    exit;
  }}
  sl_send_reply("405", "Method Not Allowed");
}}
"""


@pytest.mark.needs("kamailio")
@pytest.mark.parametrize("how", ["udp", "tcp"])
async def test_kamailio_registers_the_device_and_hears_that_it_lives(
    tmp_path: Path, how: str
) -> None:
    port = free_port()
    file = tmp_path / "kamailio.cfg"
    text = KAMAILIO.format(port=port, realm=REALM, password=PASSWORD)
    file.write_text(text, encoding="utf-8")
    async with program(
        "kamailio", "-f", str(file), "-DD", "-E", "-m", "32", "-M", "4",
        "-Y", str(tmp_path), "-w", str(tmp_path),
    ):  # fmt: skip
        async with asyncio.timeout(60):
            while True:  # it takes connections
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.1)
                    continue
                writer.close()
                break
        async with device(tmp_path, port, how, keepalive_s=5) as made:
            await state(made, state="registered")
            async with asyncio.timeout(60):
                while not made.state().answered_us:
                    await asyncio.sleep(0.1)
            assert made.state().fault is None
