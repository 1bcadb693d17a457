"""States, events and commands by MQTT 3.1.1: retained states, a last will, commands if allowed.

A broker has the rights of one machine credential: it is told what that may know, and may command
what that may. What it is to keep is compared with what it was told, once a second and when
something happens; what is gone, or not to be known any more, is emptied.

`aiomqtt` is imported with the first connection: a box without a broker does not pay for it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from nvr.auth.machine import Machines
from nvr.auth.policy import require
from nvr.auth.user import Subject
from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.base.supervise import ended
from nvr.media.news import News, wanted
from nvr.media.notify import NotifySettings
from nvr.serve.notify import mqtt_state
from nvr.serve.notify.dial import Permit, fault_of, for_library, place_of, resolve
from nvr.serve.notify.home_assistant import discovery
from nvr.serve.notify.mqtt_command import SUBSCRIBED, Commands
from nvr.serve.notify.mqtt_state import STATUS, States
from nvr.serve.notify.outbox import Outbox
from nvr.serve.notify.tally import Tally

if TYPE_CHECKING:
    import aiomqtt

_log = logging.getLogger(__name__)

KEEPALIVE_S = 20
LOOK_S = 1.0
MOST_INCOMING = 200
_STOP = "/stop/set"
_LEAVE_S = 2.0


class Incoming(asyncio.Queue[Any]):
    """Messages of a broker, bounded: what does not fit is dropped; a STOP goes first, and fits.

    Args:
        tally: Where what was dropped is counted; the library would log each.
        maxsize: So many wait.
    """

    def __init__(self, tally: Tally, maxsize: int) -> None:
        super().__init__(maxsize)
        self._tally = tally

    def _put(self, item: Any) -> None:  # noqa: ANN401 - as of the base
        if str(item.topic).endswith(_STOP):
            self._queue.appendleft(item)  # type: ignore[attr-defined] # as of the base
        else:
            super()._put(item)

    def put_nowait(self, item: Any) -> None:  # noqa: ANN401 - as of the base
        """See `asyncio.Queue`."""
        if self.full():
            self._tally.refused += 1
            if not str(item.topic).endswith(_STOP):
                return
            self._queue.pop()  # type: ignore[attr-defined] # as of the base
        super().put_nowait(item)


class MqttNotifier:
    """One broker.

    Args:
        settings: Which, and what it is told.
        password: At the broker; asked for in a thread, empty for none.
        states: What it keeps.
        commands: What it may have done.
        machines: Knows its credential.
        box: Name of the box.
        endpoint: UUID of the box.
        permit: Where it may be.
        home: Where names of files in the configuration begin.
        clock: Time source.

    Attributes:
        leaves: It is not to come back: what the broker keeps is emptied at the end.
    """

    def __init__(
        self,
        settings: NotifySettings,
        password: Callable[[], str],
        states: States,
        commands: Commands,
        machines: Machines,
        box: Callable[[], str],
        endpoint: str,
        permit: Permit,
        home: Path,
        clock: Clock,
    ) -> None:
        require(mqtt_state.KEYS)
        self._settings, self._password = settings, password
        self._states, self._commands, self._machines = states, commands, machines
        self._box, self._endpoint = box, endpoint
        self._permit, self._home, self._clock = permit, home, clock
        self._prefix = settings.topic or f"nvr/{endpoint}"
        self._kept: dict[str, bytes] = {}
        self._look = asyncio.Event()
        self.leaves = False
        self.tally = Tally(clock)
        self.outbox = Outbox(f"mqtt/{settings.name}")

    def offer(self, news: News) -> None:
        """Have it told if its filter lets it through."""
        if wanted(news, self._settings.events, self._settings.cameras):
            self.outbox.put(news)
        self.look()

    def kept(self) -> tuple[str, ...]:
        """Topics that the broker keeps for us."""
        return tuple(self._kept)

    def inherit(self, topics: Iterable[str]) -> None:
        """Empty these too, unless they are told again: somebody with other settings told them."""
        self._kept = dict.fromkeys(topics, b"")

    def look(self) -> None:
        """Compare now: with what there is to tell, and with what its credential still may."""
        self._look.set()

    async def test(self, news: News) -> float:
        """Tell it that; returns how many seconds it took. See `Outbox.tell`."""
        return await self.outbox.tell(news, self._clock)

    async def session(self) -> None:
        """Connect, tell and obey, until something breaks.

        Raises:
            NvrError: ``mqtt.credential``, ``mqtt.refused``, ``notify.lost``, and as of `dial`.
        """
        self._subject()
        client = await self._client()
        from aiomqtt.exceptions import MqttConnectError, MqttError  # noqa: PLC0415 - see above

        try:
            async with client:
                await self._talk(client)
        except MqttConnectError as err:
            raise Rejected("mqtt.refused", f"the broker refuses: {err}") from err
        except MqttError as err:
            cause = err.__context__
            if isinstance(cause, OSError):
                raise fault_of(cause) from err
            raise Unavailable("notify.lost", str(err).lower() or "the broker is gone") from err
        except (OSError, ValueError) as err:
            raise fault_of(err) from err
        finally:
            # The library leaves a connection open whose log-in was not answered, or was cancelled.
            client._client._sock_close()  # noqa: SLF001 - a pinned version

    async def _client(self) -> "aiomqtt.Client":
        import aiomqtt  # noqa: PLC0415 - see above

        settings = self._settings
        host, port = place_of(settings.url)
        secure = urlsplit(settings.url).scheme == "mqtts"
        ca = self._home / settings.ca if settings.ca else None
        context = for_library(ca, settings.pin, host) if secure else None
        password = await asyncio.to_thread(self._password)
        # Resolved here: what is judged is what is connected to.
        address = await resolve(host, port, self._permit)
        return aiomqtt.Client(
            address,
            port,
            username=settings.user or None,
            password=password or None,
            logger=_log,
            identifier=f"nvr-{self._endpoint[:8]}-{settings.name}",
            queue_type=partial(Incoming, self.tally),  # type: ignore[arg-type] # made like one
            will=aiomqtt.Will(f"{self._prefix}/{STATUS}", b"offline", qos=1, retain=True),
            clean_session=True,
            keepalive=KEEPALIVE_S,
            max_queued_incoming_messages=MOST_INCOMING,
            tls_context=context,
        )

    async def _talk(self, client: "aiomqtt.Client") -> None:
        self._kept = dict.fromkeys(self._kept, b"")  # a broker may have forgotten all of it
        try:
            if self._settings.commands:
                for topic in SUBSCRIBED:
                    await client.subscribe(f"{self._prefix}/{topic}", qos=1)
            await self._keep(client, f"{self._prefix}/{STATUS}", b"online")
            self.tally.stand("connected")
            self._look.set()
            await self._do_all(client)
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_LEAVE_S):
                    await self._leave(client)

    async def _leave(self, client: "aiomqtt.Client") -> None:
        """Say so: a broker tells the last will of who vanishes, not of who leaves."""
        status = f"{self._prefix}/{STATUS}"
        for topic in (*self._kept, status) if self.leaves else ():
            await client.publish(topic, b"", qos=1, retain=True)
        if not self.leaves:
            await client.publish(status, b"offline", qos=1, retain=True)

    async def _do_all(self, client: "aiomqtt.Client") -> None:
        """Tell and obey until one of these fails; as `first_end`, but the library needs `ended`."""
        bodies = (self._tell_states, self._tell_news, self._listen)
        tasks = [asyncio.create_task(body(client)) for body in bodies]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(tasks, 1.0)
        for task in done:
            task.result()

    async def _tell_states(self, client: "aiomqtt.Client") -> None:
        while True:
            self._look.clear()
            subject = self._subject()
            now = {
                f"{self._prefix}/{topic}": payload
                for topic, payload in self._states.now(subject).items()
            }
            if self._settings.discovery:
                now |= discovery(
                    self._states, subject, self._prefix, self._endpoint, self._box(),
                    commands=self._settings.commands,
                )  # fmt: skip
            for topic in self._kept.keys() - now.keys():
                await client.publish(topic, b"", qos=1, retain=True)
                del self._kept[topic]
            for topic, payload in now.items():
                if self._kept.get(topic) != payload:
                    await self._keep(client, topic, payload)
                    self._kept[topic] = payload
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._look.wait()

    async def _tell_news(self, client: "aiomqtt.Client") -> None:
        while True:
            news = await self.outbox.next()
            if self._states.knows(self._subject(), news):
                body = msgspec.json.encode(news.plain())
                await client.publish(f"{self._prefix}/event", body, qos=1)
                self.tally.took()
            self.outbox.done(news)

    async def _listen(self, client: "aiomqtt.Client") -> None:
        async for message in client.messages:
            topic = message.topic.value.removeprefix(f"{self._prefix}/")
            if message.retain:  # kept by the broker, nobody knows since when
                self.tally.refused += 1
                continue
            payload = message.payload
            try:
                await self._commands.obey(topic, payload, self._subject())
            except NvrError as err:
                self.tally.refused += 1
                event(_log, logging.DEBUG, "mqtt.refused", topic=topic, error=str(err))
                if err.code != "mqtt.too_many":  # a flood is not answered by another
                    said = {"topic": topic, "ok": False, "code": err.code, "detail": err.detail}
                    await client.publish(f"{self._prefix}/answer", msgspec.json.encode(said))
            else:
                self.tally.commands += 1
                said = {"topic": topic, "ok": True}
                await client.publish(f"{self._prefix}/answer", msgspec.json.encode(said))

    async def _keep(self, client: "aiomqtt.Client", topic: str, payload: bytes) -> None:
        await client.publish(topic, payload, qos=1, retain=True)
        self.tally.took()

    def _subject(self) -> Subject:
        subject = self._machines.subject(self._settings.credential)
        if subject is None:
            raise Misconfigured(
                "mqtt.credential",
                "its rights are those of a machine credential, and there is none of that name",
                credential=self._settings.credential,
            )
        return subject
