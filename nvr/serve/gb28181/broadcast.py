"""Broadcasts: a platform wants to speak through a camera, so we invite it to.

::

    platform                              device
       | MESSAGE Notify Broadcast            |
       |------------------------------------>| 200; is there a loudspeaker that answers?
       |     MESSAGE Response, OK or ERROR   |
       |<------------------------------------|
       |     INVITE m=audio, recvonly        |
       |<------------------------------------|
       | 200 m=audio, sendonly               |
       |------------------------------------>| ACK
       | G.711 in RTP                        |
       |====================================>| until either side says BYE

One at a time for a camera. Over TCP signalling the voice comes over TCP too, and we connect.

Source: GB/T 28181-2016, section 9.12 and annex A.2.5; RFC 3261, sections 12 and 13.2.
"""

import logging
import re
import secrets
from dataclasses import dataclass

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise
from nvr.auth.user import Span
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.serve.gb28181.ports import Invited, Refused
from nvr.serve.gb28181.registration import Registration
from nvr.wire import gb_sdp
from nvr.wire.manscdp import Body, build
from nvr.wire.sip import Request, Response, Uri, tag_of
from nvr.wire.sip_transaction import Asked
from nvr.wire.soap import leaf

_log = logging.getLogger(__name__)

KEY = "gb Broadcast"
TYPE_SDP = "application/sdp"
_ID = re.compile(r"[0-9A-Za-z]{1,32}")


@dataclass(slots=True)
class Broadcast:
    """One.

    Attributes:
        camera: Name of the camera that is to speak.
        session: Hears the platform; None while it is being opened.
        invite: Our INVITE, None before there is one.
        answer: What granted it.
        number: Of our last request in the dialog.
    """

    camera: str
    session: Invited | None = None
    invite: Request | None = None
    answer: Response | None = None
    number: int = 1


class Broadcasts:
    """All of one platform, over one registration. Arguments as of `Dialogs`."""

    def __init__(self, registration: Registration) -> None:
        self._reg = registration
        self._all: dict[str, Broadcast] = {}

    def __len__(self) -> int:
        return len(self._all)

    def notify(self, asked: Asked, body: Body) -> None:
        """``Broadcast``: acknowledged at once, answered when the camera was asked."""
        self._reg.link.answer(asked, 200, "OK")
        self._reg.spawn(self._begin(body, asked.peer[0]))

    def bye(self, asked: Asked) -> bool:
        """``BYE``; whether it was of one of ours."""
        request = asked.request
        for one in self._all.values():
            if one.answer is None or one.answer.call_id != request.call_id:
                continue
            if tag_of(one.answer.get("To")) != tag_of(request.get("From")):
                continue
            self._reg.link.answer(asked, 200, "OK")
            self._end(one, "bye", tell=False)
            return True
        return False

    def close(self, *, tell: bool) -> None:
        """End all; the platform is told, if it can be."""
        for one in list(self._all.values()):
            self._end(one, "close", tell=tell)

    async def _begin(self, body: Body, host: str) -> None:
        one = None
        try:
            camera = self._camera(body.device)
            one = self._all[camera] = Broadcast(camera)
            one.session = await self._open(camera, host)
        except (Refused, NvrError) as err:
            if one is not None:
                self._all.pop(one.camera, None)
            why = err.reason if isinstance(err, Refused) else err.code
            event(_log, logging.INFO, "gb.not_done", platform=self._reg.roster.settings.name,
                  command=KEY, device=body.device, why=why)  # fmt: skip
            await self._respond(body, "ERROR")
            return
        if self._all.get(camera) is not one:  # it was ended while the camera was asked
            one.session.close()
            return
        one.session.on_end = lambda reason: self._end(one, reason)
        await self._respond(body, "OK")
        await self._invite(one, body)

    def _camera(self, device: str) -> str:
        """The camera that is to speak.

        Raises:
            Refused: It is none, or may not, or does already.
        """
        camera = self._reg.roster.speaking(device)
        if camera is None:
            raise Refused(404, "that is no camera")
        if not self._allowed(camera, None):
            raise Refused(403, "this camera may not be spoken through")
        if camera in self._all:
            raise Refused(486, "this platform speaks through this camera now")
        return camera

    def _allowed(self, camera: str, span: Span | None) -> bool:
        try:
            authorise(self._reg.roster.subject, KEY, camera, span, masked=self._reg.parts.masked)
        except Rejected:
            return False
        return True

    async def _open(self, camera: str, host: str) -> Invited:
        reg = self._reg
        return await reg.parts.media.invite(
            camera, reg.roster.settings.transport, host, reg.link.wire.local[0],
            lambda span: self._allowed(camera, span),
        )  # fmt: skip

    async def _respond(self, body: Body, result: str) -> None:
        link = self._reg.link
        answer = build(
            "Response", body.command, body.number, body.device, leaf("Result", result),
            edition=self._reg.edition,
        )  # fmt: skip
        await link.ask(link.message(self._reg.number(), answer))

    async def _invite(self, one: Broadcast, body: Body) -> None:
        """Invite the platform to speak, and hear it."""
        link, session = self._reg.link, one.session
        if session is None or self._all.get(one.camera) is not one:
            return
        one.invite = self._invitation(session, body)
        answer = await link.ask(one.invite)
        if answer is None or answer.status >= 300:
            self._end(one, f"refused {answer.status}" if answer else "silent", tell=False)
            return
        one.answer = answer
        link.acknowledge(one.invite, self._request(one, "ACK"))
        try:
            session.meet(gb_sdp.parse(answer.body.decode("gb18030", "replace")))
        except (ValueError, Refused):
            self._end(one, "unsupported")
            return
        session.start()
        self._note(one, KEY)

    def _invitation(self, session: Invited, body: Body) -> Request:
        link, settings = self._reg.link, self._reg.roster.settings
        said = body.said("SourceID")
        source = said if _ID.fullmatch(said) else settings.server
        uri = f"sip:{source}@{settings.realm}"
        headers = [
            ("From", f"<{link.own_uri}>;tag={secrets.token_hex(6)}"),
            ("To", f"<{uri}>"),
            ("Call-ID", f"{secrets.token_hex(10)}@{link.wire.local[0]}"),
            ("CSeq", "1 INVITE"),
            ("Contact", link.contact),
            ("Subject", f"{source}:1,{body.device}:1"),
        ]
        text = session.invitation(settings.device).encode()
        return link.request("INVITE", uri, headers, text, TYPE_SDP)

    def _request(self, one: Broadcast, method: str) -> Request:
        """A request of ours in the dialog that the answer made."""
        assert one.invite is not None
        assert one.answer is not None
        if method != "ACK":
            one.number += 1
        contact = one.answer.get("Contact")
        uri = contact.partition("<")[2].partition(">")[0] if Uri.parse(contact) else ""
        headers = [
            ("From", one.invite.get("From")),
            ("To", one.answer.get("To")),
            ("Call-ID", one.invite.call_id),
            ("CSeq", f"{one.number} {method}"),
        ]
        return self._reg.link.request(method, uri or one.invite.uri, headers)

    def _end(self, one: Broadcast, reason: str, *, tell: bool = True) -> None:
        if self._all.pop(one.camera, None) is None:
            return
        if one.session is not None:
            one.session.close()
        if tell and one.answer is not None:
            bye = self._request(one, "BYE")
            if reason == "close":
                self._reg.link.tell(bye)
            else:
                self._reg.spawn(self._say(bye))
        self._note(one, "gb BYE", reason)

    async def _say(self, request: Request) -> None:
        await self._reg.link.ask(request)

    def _note(self, one: Broadcast, action: str, reason: str = "") -> None:
        self._reg.parts.audit.record(
            Entry(
                "event", action, reason=reason, who=self._reg.roster.settings.name,
                source=self._reg.link.wire.remote[0], camera=one.camera,
            )
        )  # fmt: skip
