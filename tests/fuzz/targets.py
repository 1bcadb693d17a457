"""What is fuzzed: each target reads bytes of a stranger and raises nothing it does not name."""

import contextlib
import struct
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack

from nvr._native import crc32c
from nvr.base.errors import Damaged
from nvr.config import load
from nvr.link import drawing, reading
from nvr.link.letter import mended
from nvr.link.meaning import meant
from nvr.record import header, key_table, log, log_state, volume
from nvr.wire import (
    aac,
    control,
    digest,
    gb_sdp,
    h264,
    h265,
    media_signing,
    mp4,
    pelco_d,
    pelco_p,
    rtsp,
    rtsp_client,
    rtsp_session,
    rtsp_tunnel,
    sdp,
    soap,
    tpm2,
    wsdiscovery,
    xml,
)
from nvr.wire.nal import nals

CORPUS = Path(__file__).with_name("corpus")
_URL = "rtsp://192.0.2.10:554/stream1"
_STEPS = 4000
"""More turns than any input of this size needs: who takes more does not end."""


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut as a network would: by the first byte, all at once or in small steps."""
    step = 1 + data[0] if data and data[0] < 32 else len(data) or 1
    for at in range(0, len(data), step):
        yield data[at : at + step]


def _rtsp(data: bytes) -> None:
    parser = rtsp.Parser()
    with contextlib.suppress(rtsp.Malformed):
        for piece in _pieces(data):
            parser.feed(piece)
            while (item := parser.next()) is not None:
                if isinstance(item, rtsp.Response | rtsp.Request):
                    item.header("Session")
                    rtsp.parse_transport(item.header("Transport"))


def _rtsp_camera(data: bytes) -> None:
    """A camera answers whatever it likes: the client ends in one of its events."""
    for login in (None, digest.Login("operator", "secret")):
        client = rtsp_client.Client(
            _URL,
            login,
            cnonce=lambda: "c0ffee",
            deliveries=("tcp", "udp", "multicast"),
            ports=lambda: (50000, 50001),
        )
        client.start()
        now_s = 0.0
        for piece in _pieces(data):
            now_s += 1.0
            client.receive(piece, now_s)
            client.wake(now_s)
            for _ in range(_STEPS):
                if client.next_event() is None:
                    break
            else:
                raise AssertionError("events without end")
            sent = client.to_send()
            assert b"secret" not in sent or b"Basic" in sent
            assert sent.count(b"\r\n\r\n") < _STEPS, "an answer that asks for ever"
        client.close()


def _rtsp_reader(data: bytes) -> None:
    server = rtsp_session.Server("5e551011")
    for piece in _pieces(data):
        server.receive(piece)
        for _ in range(_STEPS):
            event = server.next_event()
            if event is None:
                break
            if isinstance(event, rtsp.Request):
                server.respond(event, 200)
        server.partial()
        server.to_send()


def _rtsp_tunnel(data: bytes) -> None:
    if rtsp_tunnel.is_http(data):
        with contextlib.suppress(rtsp.Malformed):
            if found := rtsp_tunnel.parse_leg(data):
                assert found[0].cookie
                data = found[1]
    decoder, said = rtsp_tunnel.Decoder(), b""
    with contextlib.suppress(rtsp.Malformed):
        for piece in _pieces(data):
            said += decoder.feed(piece)
    assert len(said) <= len(data)


def _sdp(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        found = sdp.parse(data)
        for media in found.media:
            assert control.spellings(_URL, found.control, media.control)


def _gb_sdp(data: bytes) -> None:
    with contextlib.suppress(gb_sdp.Malformed):
        offer = gb_sdp.parse(data.decode("gb18030", "replace"))
        assert 0 <= offer.port <= 65_535


def _digest(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    digest.Answer.parse(text)
    digest.strongest(text.split("\n"))


def _parameter_sets(data: bytes) -> None:
    half = len(data) // 2
    for module, build in ((h264, h264.avcc), (h265, h265.hvcc)):
        for read in (module.parse_sps, module.parameter_sets, module.codec_string):
            with contextlib.suppress(ValueError):
                read(data)
        with contextlib.suppress(ValueError):
            record = build([data[:half], data[half:], b"\x68\xee\x3c\x80", b"\x44\x01\xc1\x72"])
            assert module.parameter_sets(record)


def _aac(data: bytes) -> None:
    for read in (aac.parse, aac.adts, aac.codec_string):
        with contextlib.suppress(ValueError):
            read(data)


def _pelco(data: bytes) -> None:
    """All bytes come out again, as a frame or as noise."""
    for decoder in (pelco_d.Decoder(), pelco_p.Decoder(), pelco_d.ReplyDecoder()):
        for piece in _pieces(data):
            for found in decoder.feed(piece):
                repr(found)


def _media_signing(data: bytes) -> None:
    for codec in ("h264", "h265"):
        for nal in nals(data):
            media_signing.kind(codec, nal)
            media_signing.read(codec, nal)
        media_signing.kind(codec, data)
        media_signing.read(codec, data)


def _tpm(data: bytes) -> None:
    for read in (
        tpm2.size_of, tpm2.response, lambda it: tpm2.response(it, 1), tpm2.point_of,
        lambda it: tpm2.pcr_values(it, [0, 2, 7]),
    ):  # fmt: skip
        with contextlib.suppress(ValueError):
            read(data)


def _part_header(data: bytes) -> None:
    """Also with a checksum that is right: a disk may hold what another program wrote."""
    with contextlib.suppress(Damaged):
        header.decode(data)
    size = header.PART_HEADER_BYTES
    whole = bytearray(data[:size].ljust(size, b"\0"))
    whole[4:24] = b"uuid" + header.BOX_TYPE
    header.end_into(whole, payload_crc=0, sha256=bytes(32), previous=bytes(32))
    with contextlib.suppress(Damaged):
        header.decode(whole)


class _Read:
    """A log of which this was read."""

    def __init__(self, records: list[log.Record]) -> None:
        self._records = records

    def read(self) -> list[log.Record]:
        return self._records


_IDENTITY = volume.Identity(uuid.UUID(int=7), 2, 1 << 22, 40, 0, ready=True)


def _volume_log(data: bytes) -> None:
    """Records with right checksums and any contents, and one that is no record."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(data)
    bodies = []
    with contextlib.suppress(ValueError, TypeError, msgpack.UnpackException):
        bodies = [msgpack.packb(record) for record in unpacker]
    head, whole = struct.Struct(">II"), b""
    for number, body in enumerate((*bodies, data)):
        rest = head.pack(1, number) + body
        whole += head.pack(8 + len(rest), crc32c(rest)) + rest
    epoch, records, at = log._parse(whole)
    assert at <= len(whole)
    assert epoch or not records
    state = log_state.read_log(_Read(records), _IDENTITY)
    assert state.next_run >= 0
    assert len(state.serials) == _IDENTITY.blocks
    log._parse(data)


def _key_table(data: bytes) -> None:
    """Slots with right checksums and any contents."""
    page, size = bytes(key_table.PAGE_BYTES), key_table.SLOT_BYTES
    for at in range(0, len(data) - 4, size - 4):
        body = data[at : at + size - 4].ljust(size - 4, b"\0")
        page += body + crc32c(body).to_bytes(4, "big")
    key_table._decode_slots(page)


def _mp4(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        mp4.begun_us(data, 1)


def _discovery(data: bytes) -> None:
    with contextlib.suppress(xml.Malformed):
        for match in wsdiscovery.matches(data, frozenset(("urn:uuid:1",))):
            match.scope("name")


def _host(data: bytes) -> None:
    """What a host, or anybody on the network, may send to the ONVIF device."""
    with contextlib.suppress(xml.Malformed):
        found = soap.read(data)
        if found.token is not None:
            found.token.proves("secret")
            soap.instant_us(found.token.created)
        for one in found.body.children:
            at_us = soap.instant_us(one.text)
            soap.instant(at_us or 0)
            soap.duration(soap.duration_s(one.text) or 0.0)
            soap.count(one.text, 100)
    with contextlib.suppress(xml.Malformed):
        asked = wsdiscovery.asked(data)
        if asked is not None:
            us = wsdiscovery.Match("urn:uuid:us", ("tds:Device",), ("onvif://a/b",), ("http://a",))
            asked.means(us)
            wsdiscovery.answer("urn:uuid:9", asked, us, (1, 2))


def _onvif(data: bytes) -> None:
    """What cameras answer to calls by hand, and how what they leave undeclared is mended."""
    with contextlib.suppress(xml.Malformed):
        mended(data, xml.check(data))
        tree = xml.parse(data)
        for told in reading.events(tree):
            meant(told)
        for one in tree.all("Profiles"):
            reading.profile2(one)
        for one in tree.all("Masks"):
            drawing.mask(one)
        for one in tree.all("OSDs"):
            drawing.osd(one)
        drawing.osd_options(tree)
        drawing.mask_options(tree)
        reading.own_url(tree.said("Uri"), "192.0.2.1", ("rtsp", "rtsps"))


def _config(data: bytes) -> None:
    """Faults, never a trace; and a text without faults is one that is taken."""
    load.check(data.decode("utf-8", "replace"))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "aac": _aac,
    "config": _config,
    "digest": _digest,
    "discovery": _discovery,
    "gb-sdp": _gb_sdp,
    "host": _host,
    "key-table": _key_table,
    "media-signing": _media_signing,
    "mp4": _mp4,
    "onvif": _onvif,
    "parameter-sets": _parameter_sets,
    "part-header": _part_header,
    "pelco": _pelco,
    "rtsp": _rtsp,
    "rtsp-camera": _rtsp_camera,
    "rtsp-reader": _rtsp_reader,
    "rtsp-tunnel": _rtsp_tunnel,
    "sdp": _sdp,
    "tpm": _tpm,
    "volume-log": _volume_log,
}


def seeds(name: str) -> list[bytes]:
    """Return the committed inputs of a target, in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
