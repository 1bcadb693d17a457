"""Streams that a platform asked for: from INVITE to BYE.

One stream a dialog. A platform that asks again for the same stream under the same sender gets the
new one, and the old one ends. A recording that was sent to its end is told by ``MediaStatus`` 121
in its dialog; a platform that then does not hang up is hung up on.

Source: GB/T 28181-2022, sections 9.2, 9.8, 9.9 and annex A.2.5; RFC 3261, sections 12 to 15.
"""

import asyncio
import logging
import secrets
from dataclasses import dataclass

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise
from nvr.auth.user import Span
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.serve.gb28181.ports import FINISHED, Refused, Session
from nvr.serve.gb28181.registration import Registration
from nvr.wire import gb_sdp
from nvr.wire.manscdp import TYPE, build
from nvr.wire.sip import Request, Uri, tag_of
from nvr.wire.sip_transaction import Asked
from nvr.wire.soap import leaf

_log = logging.getLogger(__name__)

MOST = 64
"""Streams of one platform."""
HANG_UP_S = 10.0
TYPE_SDP = "application/sdp"
TYPE_MANSRTSP = "Application/MANSRTSP"


@dataclass(slots=True)
class Dialog:
    """One stream.

    Attributes:
        asked: Its INVITE.
        tag: Ours.
        camera: Name of the camera.
        what: ``Play``, ``Playback``, ``Download`` or ``Talk``.
        sender: First half of ``Subject``, empty without.
        session: Its media; None while it is being opened.
        number: Of our last request in it.
        opening: Opens the media.
        hang_up: Ends it should the platform not.
        granted: Our 200 went out: it can only be ended by a BYE.
    """

    asked: Asked
    tag: str
    camera: str
    what: str
    sender: str
    session: Session | None = None
    number: int = 0
    opening: asyncio.Task[None] | None = None
    hang_up: asyncio.TimerHandle | None = None
    granted: bool = False


class Dialogs:
    """All streams of one platform, over one registration.

    Args:
        registration: What it shares with the rest.
    """

    def __init__(
        self,
        registration: Registration,
    ) -> None:
        self._reg = registration
        self._dialogs: dict[str, Dialog] = {}

    def __len__(self) -> int:
        return len(self._dialogs)

    def invite(self, asked: Asked) -> None:
        """``INVITE``."""
        request = asked.request
        if request.call_id in self._dialogs:  # to have it otherwise: no stream can be changed
            self._reg.link.answer(asked, 488, "Not Acceptable Here")
            return
        try:
            offer, camera = self._offer(request)
        except Refused as err:
            self._refuse(asked, err, "")
            return
        sender = request.get("Subject").partition(",")[0].strip()
        for other in list(self._dialogs.values()):
            if sender and other.sender == sender:
                self._end(other, "again")
        if len(self._dialogs) >= MOST:
            self._refuse(asked, Refused(486, f"there are {MOST} streams already"), camera)
            return
        self._reg.link.answer(asked, 100, "Trying")
        dialog = Dialog(asked, secrets.token_hex(6), camera, offer.session, sender)
        self._dialogs[request.call_id] = dialog
        dialog.opening = self._reg.spawn(self._open(dialog, offer))

    def acknowledged(self, call_id: str) -> None:
        """Its ACK came: pictures may flow."""
        dialog = self._dialogs.get(call_id)
        if dialog is not None and dialog.session is not None:
            dialog.session.start()

    def unacknowledged(self, call_id: str) -> None:
        """Its ACK never came."""
        dialog = self._dialogs.get(call_id)
        if dialog is not None:
            self._end(dialog, "unacknowledged")

    def bye(self, asked: Asked) -> None:
        """``BYE``."""
        dialog = self._of(asked.request)
        if dialog is None:
            self._reg.link.answer(asked, 481, "Call/Transaction Does Not Exist")
            return
        self._reg.link.answer(asked, 200, "OK")
        self._end(dialog, "bye", tell=False)

    def cancel(self, asked: Asked) -> None:
        """``CANCEL``: of what is still being opened; what was granted is ended by a BYE."""
        invite = self._reg.link.invite_of(asked.request)
        if invite is None:
            self._reg.link.answer(asked, 481, "Call/Transaction Does Not Exist")
            return
        self._reg.link.answer(asked, 200, "OK")
        dialog = self._dialogs.get(invite.request.call_id)
        if dialog is not None and not dialog.granted:
            self._end(dialog, "cancel", tell=False)
            self._reg.link.answer(invite, 487, "Request Terminated", tag=dialog.tag)

    def info(self, asked: Asked) -> None:
        """``INFO``: a recording is played otherwise."""
        dialog = self._of(asked.request)
        if dialog is None or dialog.session is None:
            self._reg.link.answer(asked, 481, "Call/Transaction Does Not Exist")
            return
        text = asked.request.body[:4096].decode("latin-1")
        try:
            answer = dialog.session.control(text)
        except Refused as err:
            self._reg.link.answer(asked, err.status, err.reason)
            return
        headers = [("Content-Type", TYPE_MANSRTSP)]
        self._reg.link.answer(asked, 200, "OK", headers=headers, body=answer.encode("latin-1"))

    def close(self, *, tell: bool) -> None:
        """End all; the platform is told, if it can be."""
        for dialog in list(self._dialogs.values()):
            self._end(dialog, "close", tell=tell)

    def _offer(self, request: Request) -> tuple[gb_sdp.Offer, str]:
        try:
            offer = gb_sdp.parse(request.body.decode("gb18030", "replace"))
        except ValueError as err:
            raise Refused(488, f"the description is none: {err}") from err
        uri = Uri.parse(request.uri)
        named = (uri.user if uri else "", offer.device, request.get("Subject").partition(":")[0])
        roster = self._reg.roster
        find = roster.speaking if offer.session == "Talk" else roster.camera
        camera = next((name for one in named if (name := find(one))), None)
        if camera is None:
            raise Refused(404, "there is no such channel")
        try:
            self._authorise(offer, camera, _span(offer))
        except Rejected as err:
            raise Refused(403, err.code) from err
        return offer, camera

    def _authorise(self, offer: gb_sdp.Offer, camera: str, span: Span | None) -> None:
        authorise(
            self._reg.roster.subject, f"gb INVITE {offer.session}", camera, span,
            masked=self._reg.parts.masked,
        )  # fmt: skip

    async def _open(self, dialog: Dialog, offer: gb_sdp.Offer) -> None:
        def allowed(span: Span | None) -> bool:
            try:
                self._authorise(offer, dialog.camera, span)
            except Rejected:
                return False
            return True

        asked, link = dialog.asked, self._reg.link
        try:
            session = await self._reg.parts.media.open(
                dialog.camera, offer.stream_number == 1, offer, asked.peer[0],
                link.wire.local[0], allowed,
            )  # fmt: skip
        except (Refused, NvrError) as err:
            if self._dialogs.pop(asked.request.call_id, None) is dialog:
                refused = err if isinstance(err, Refused) else Refused(480, err.code)
                self._refuse(asked, refused, dialog.camera, dialog.tag)
            return
        dialog.session = session
        session.on_end = lambda reason: self._ended(dialog, reason)
        dialog.granted = True
        headers = [("Contact", link.contact), ("Content-Type", TYPE_SDP)]
        link.answer(
            asked, 200, "OK", tag=dialog.tag, headers=headers,
            body=session.answer().encode("gb18030", "replace"),
        )  # fmt: skip
        self._note(dialog.camera, dialog.what, "")

    def _ended(self, dialog: Dialog, reason: str) -> None:
        """Its media ended by itself."""
        if self._dialogs.get(dialog.asked.request.call_id) is not dialog:
            return
        if reason != FINISHED:
            self._end(dialog, reason)
            return
        device = self._reg.roster.camera_id(dialog.camera) or self._reg.roster.settings.device
        body = build(
            "Notify", "MediaStatus", self._reg.number(), device, leaf("NotifyType", 121),
            edition=self._reg.edition,
        )  # fmt: skip
        self._reg.spawn(self._ask(dialog, "MESSAGE", body))
        loop = asyncio.get_running_loop()
        dialog.hang_up = loop.call_later(HANG_UP_S, self._end, dialog, FINISHED)

    def _end(self, dialog: Dialog, reason: str, *, tell: bool = True) -> None:
        if self._dialogs.pop(dialog.asked.request.call_id, None) is None:
            return
        if dialog.hang_up is not None:
            dialog.hang_up.cancel()
        if dialog.opening is not None and dialog.session is None:
            dialog.opening.cancel()
            if tell:
                self._reg.link.answer(dialog.asked, 487, "Request Terminated", tag=dialog.tag)
        if dialog.session is not None:
            dialog.session.close()
        if tell and dialog.granted:
            if reason == "close":
                self._reg.link.tell(self._request(dialog, "BYE"))
            else:
                self._reg.spawn(self._ask(dialog, "BYE"))
        self._note(dialog.camera, dialog.what, reason)

    async def _ask(self, dialog: Dialog, method: str, body: bytes = b"") -> None:
        await self._reg.link.ask(self._request(dialog, method, body))

    def _request(self, dialog: Dialog, method: str, body: bytes = b"") -> Request:
        """A request of ours in a dialog: its ends are those of the INVITE, the other way round."""
        invite = dialog.asked.request
        dialog.number += 1
        contact = Uri.parse(invite.get("Contact"))
        uri = invite.get("Contact").partition("<")[2].partition(">")[0] if contact else ""
        headers = [
            ("From", f"{invite.get('To').partition(';tag=')[0]};tag={dialog.tag}"),
            ("To", invite.get("From")),
            ("Call-ID", invite.call_id),
            ("CSeq", f"{dialog.number} {method}"),
        ]
        return self._reg.link.request(method, uri or self._reg.link.server_uri, headers, body, TYPE)

    def _of(self, request: Request) -> Dialog | None:
        dialog = self._dialogs.get(request.call_id)
        if dialog is None or tag_of(dialog.asked.request.get("from")) != tag_of(
            request.get("from")
        ):
            return None
        return dialog

    def _refuse(self, asked: Asked, err: Refused, camera: str, tag: str = "") -> None:
        self._reg.link.answer(asked, err.status, err.reason, tag=tag)
        event(
            _log, logging.INFO, "gb.not_done", platform=self._reg.roster.settings.name,
            camera=camera, status=err.status, why=err.reason,
        )  # fmt: skip

    def _note(self, camera: str, what: str, reason: str) -> None:
        self._reg.parts.audit.record(
            Entry(
                "event", f"gb INVITE {what}" if not reason else "gb BYE", reason=reason,
                who=self._reg.roster.settings.name, source=self._reg.link.wire.remote[0],
                camera=camera,
            )
        )  # fmt: skip


def _span(offer: gb_sdp.Offer) -> Span | None:
    if offer.session not in {"Playback", "Download"}:
        return None
    return offer.from_s * 1_000_000, offer.to_s * 1_000_000
