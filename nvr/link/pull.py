"""A pull-point subscription to one camera's events: made, pulled, renewed, and given back.

Cameras have few slots for subscriptions and keep a forgotten one for its whole time; some lock an
account that subscribes too often. So: one at a time, a floor under the time between two, and an
Unsubscribe at every end that can still send one.

Source: ONVIF Core 23.06 section 9.1 (events); WS-BaseNotification 1.3 sections 5 and 6.
"""

import asyncio
import contextlib
import time
from typing import Any, Final

from lxml import etree

from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.link import reading, trouble
from nvr.link.letter import Letter
from nvr.link.soap import Soap
from nvr.media.onvif import CameraEvent

LEASE_S: Final = 60
"""Of a subscription; sent in seconds, as some cameras take PT1M for a second."""
RENEW_SHARE: Final = 0.8
AGAIN_S: Final = 10.0
"""Between two subscriptions, at least."""
MOST_MESSAGES: Final = 100
_EVENTS: Final = "http://www.onvif.org/ver10/events/wsdl"
_WSN: Final = "http://docs.oasis-open.org/wsn/bw-2"


class PullPoint:
    """The subscription of one camera.

    Args:
        soap: Its services.
    """

    def __init__(self, soap: Soap) -> None:
        self._soap = soap
        self._url = ""
        self._headers: tuple[bytes, ...] = ()
        self._renew_at_s = 0.0
        self._made_s = -AGAIN_S
        self._one = asyncio.Lock()
        self._no_renew = False

    async def pull(self, wait_s: float) -> tuple[CameraEvent, ...]:
        """Return what happened, waiting up to `wait_s` for something to.

        Raises:
            Unavailable: ``onvif.busy``: the last subscription was lost a moment ago.
            NvrError: As `Soap.call`. The subscription is lost then.
        """
        async with self._one:
            try:
                if not self._url:
                    await self._subscribe()
                await self._renew()
                return await self._pulled(max(1.0, min(wait_s, 30.0)))
            except NvrError as err:
                if err.code not in {"onvif.refused", "onvif.locked"}:
                    await self._give_back()
                self._url = ""
                raise

    async def close(self) -> None:
        """Give the subscription back, if there is one."""
        async with self._one:
            await self._give_back()

    async def _subscribe(self) -> None:
        if time.monotonic() - self._made_s < AGAIN_S:
            raise Unavailable("onvif.busy", "the camera's events were lost a moment ago")
        self._made_s = time.monotonic()
        body = f"<t:InitialTerminationTime>PT{LEASE_S}S</t:InitialTerminationTime>"
        action = f"{_EVENTS}/EventPortType/CreatePullPointSubscriptionRequest"
        tree = await self._soap.tree(
            Letter("events", "CreatePullPointSubscription", body, action=action)
        )
        self._url = self._soap.service_url(_text(tree, "SubscriptionReference", "Address"))
        if not self._url:
            raise trouble.garbage("the subscription has no address")
        self._headers = tuple(_parameters(tree))
        self._renew_at_s = self._made_s + RENEW_SHARE * _lease_s(tree)
        # Have it tell every state at once; not every camera can.
        with contextlib.suppress(NvrError):
            await self._send("events", "SetSynchronizationPoint", "", f"{_EVENTS}/PullPoint"
                             "Subscription/SetSynchronizationPointRequest")  # fmt: skip

    async def _renew(self) -> None:
        if time.monotonic() < self._renew_at_s or self._no_renew:
            return
        body = f"<t:TerminationTime>PT{LEASE_S}S</t:TerminationTime>"
        try:
            await self._send("wsn", "Renew", body, f"{_WSN}/SubscriptionManager/RenewRequest")
        except Rejected as err:
            if err.code != "onvif.fault":
                raise
            self._no_renew = True  # pulling renews it, in what does not know the word
        self._renew_at_s = time.monotonic() + RENEW_SHARE * LEASE_S

    async def _pulled(self, wait_s: float) -> tuple[CameraEvent, ...]:
        body = (
            f"<t:Timeout>PT{wait_s:.0f}S</t:Timeout><t:MessageLimit>{MOST_MESSAGES}"
            "</t:MessageLimit>"
        )
        action = f"{_EVENTS}/PullPointSubscription/PullMessagesRequest"
        return reading.events(await self._send("events", "PullMessages", body, action))

    async def _give_back(self) -> None:
        if not self._url:
            return
        with contextlib.suppress(NvrError, TimeoutError):
            async with asyncio.timeout(3.0):
                await self._send(
                    "wsn", "Unsubscribe", "", f"{_WSN}/SubscriptionManager/UnsubscribeRequest"
                )
        self._url = ""

    async def _send(self, service: str, operation: str, body: str, action: str) -> Any:  # noqa: ANN401 - an element
        return await self._soap.raw(
            Letter(service, operation, body, self._url, action, self._headers)
        )


def _text(tree: Any, *path: str) -> str:  # noqa: ANN401 - lxml has no types
    found = tree.find(".//" + "/".join(f"{{*}}{name}" for name in path))
    return "" if found is None else str(found.text or "")[: reading.MOST_URL]


def _parameters(tree: Any) -> list[bytes]:  # noqa: ANN401 - lxml has no types
    """What the camera wants to see in the header of every later call."""
    found = tree.find(".//{*}SubscriptionReference/{*}ReferenceParameters")
    kept = [] if found is None else [etree.tostring(one) for one in found[:8]]
    return [one for one in kept if len(one) <= 4096]


def _lease_s(tree: Any) -> float:  # noqa: ANN401 - lxml has no types
    """For how long the subscription stands, by what the camera says of both ends."""
    now = reading.iso_us(_text(tree, "CurrentTime"))
    end = reading.iso_us(_text(tree, "TerminationTime"))
    granted_s = (end - now) / 1e6 if now and end else LEASE_S
    return min(max(granted_s, 5.0), LEASE_S * 10.0)
