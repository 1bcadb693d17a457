"""The Event service: alarm inputs, relays and motion, by pull points or to a host's own server.

States are properties: each is told once to who subscribes, and then when it changes. They are read
from the box `SAMPLES_A_S` times a second, and only while somebody is subscribed; what lasts shorter
may be missed. Whose server we may call (WS-BaseNotification) is a question for `consumer`.

Source: ONVIF Core Specification 23.06, section 9; WS-BaseNotification 1.3, sections 4 to 6.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from nvr.serve.onvif.channel import Channels
from nvr.serve.onvif.consumer import Consumer, check
from nvr.serve.onvif.outputs import Outputs, inputs_of
from nvr.serve.onvif.parts import Call, Operation, Parts, Service
from nvr.wire.soap import Fault, child, count, duration_s, instant, instant_us, leaf, tag

MOST = 16
MOST_OF_ONE = 8
MOST_QUEUED = 200
"""Of a host that does not pull the oldest go first."""
LEASE_S, SHORTEST_S, LONGEST_S = 60.0, 5.0, 600.0
LONGEST_PULL_S = 30.0
SAMPLES_A_S = 5
INPUT = "Device/Trigger/DigitalInput"
RELAY = "Device/Trigger/Relay"
MOTION = "VideoSource/MotionAlarm"
_ITEMS = {
    INPUT: ("InputToken", "tt:ReferenceToken", "LogicalState", "xs:boolean"),
    RELAY: ("RelayToken", "tt:ReferenceToken", "LogicalState", "tt:RelayLogicalState"),
    MOTION: ("Source", "tt:ReferenceToken", "State", "xs:boolean"),
}
_DIALECT = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
_CONCRETE = "http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete"
_CONTENT = "http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter"


@dataclass(slots=True)
class _Subscription:
    """One pull point, or one server that is told."""

    owner: str
    topics: tuple[str, ...]
    lease_s: float
    until_s: float
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    queue: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_QUEUED))
    came: asyncio.Event = field(default_factory=asyncio.Event)
    consumer: Consumer | None = None

    def wants(self, topic: str) -> bool:
        """Whether its filter lets a topic through; no filter does."""
        return not self.topics or any(
            topic == one or (one.endswith("//.") and f"{topic}/".startswith(one[:-3] + "/"))
            for one in self.topics
        )


class EventService:
    """Handlers of this service and of its subscriptions."""

    def __init__(self, parts: Parts, channels: Channels, outputs: Outputs) -> None:
        self._parts, self._channels, self._outputs = parts, channels, outputs
        self._subscriptions: dict[str, _Subscription] = {}
        self._there = asyncio.Event()

    def services(self) -> tuple[Service, Service]:
        """What there is of it: the service, and what a subscription is asked."""
        events: dict[str, Callable[[Call], str | Awaitable[str]]] = {
            "GetServiceCapabilities": self.capabilities,
            "CreatePullPointSubscription": self.subscribe,
            "GetEventProperties": self.properties,
            "PullMessages": self.pull,
            "SetSynchronizationPoint": self.synchronize,
        }
        return (
            Service(
                "event", "tev", "event_service", (2, 60),
                {name: Operation(do) for name, do in events.items()}, self.capabilities,
            ),
            Service(
                "subscription", "wsnt", "subscription", (2, 60),
                {
                    "Subscribe": Operation(self.notify),
                    "Renew": Operation(self.renew),
                    "Unsubscribe": Operation(self.unsubscribe),
                },
                self.capabilities, listed=False,
            ),
        )  # fmt: skip

    async def run(self) -> None:
        """See what changes, for as long as somebody is subscribed, until cancelled."""
        try:
            while True:
                await self._there.wait()
                self._expire()
                for one in list(self._subscriptions.values()):
                    self._look(one)
                await self._parts.clock.sleep(1.0 / SAMPLES_A_S)
        finally:
            for token in list(self._subscriptions):
                self._drop(token)

    def capabilities(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetServiceCapabilities``."""
        return tag(
            "tev:Capabilities", WSSubscriptionPolicySupport=False, WSPullPointSupport=True,
            WSPausableSubscriptionManagerInterfaceSupport=False, MaxPullPoints=MOST,
            PersistentNotificationStorage=False,
        )  # fmt: skip

    def subscribe(self, call: Call) -> str:
        """``CreatePullPointSubscription``."""
        return self._subscribe("tev", call)

    def notify(self, call: Call) -> str:
        """``Subscribe``: told to the host's own server."""
        where = child(call.body, "ConsumerReference")
        url = "" if where is None else where.said("Address").strip()
        check(url, call.address, self._parts.permit)
        return self._subscribe("wsnt", call, url)

    def _subscribe(self, prefix: str, call: Call, url: str = "") -> str:
        self._expire()
        owner, lease_s = call.subject.name, self._lease_s(call.said("InitialTerminationTime"))
        of_one = sum(one.owner == owner for one in self._subscriptions.values())
        if len(self._subscriptions) >= MOST or of_one >= MOST_OF_ONE:
            raise Fault("there are too many subscriptions", "ter:Action", receiver=True)
        now_s = self._parts.clock.monotonic_s()
        one = _Subscription(owner, _topics(call), lease_s, now_s + lease_s)
        token = secrets.token_urlsafe(18)
        self._subscriptions[token] = one
        if url:
            one.consumer = Consumer(url, one.queue, one.came, self._parts.permit)
        self._there.set()
        self._look(one)
        where = leaf("wsa:Address", f"{call.base}/onvif/subscription/{token}")
        return tag(f"{prefix}:SubscriptionReference", where) + self._times("wsnt", one)

    def properties(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetEventProperties``."""
        return "".join(
            (
                leaf("tev:TopicNamespaceLocation",
                     "http://www.onvif.org/onvif/ver10/topics/topicns.xml"),
                leaf("wsnt:FixedTopicSet", True),
                tag("wstop:TopicSet", _described(INPUT, RELAY), _described(MOTION)),
                leaf("wsnt:TopicExpressionDialect", _DIALECT),
                leaf("wsnt:TopicExpressionDialect", _CONCRETE),
                leaf("tev:MessageContentFilterDialect", _CONTENT),
                leaf("tev:MessageContentSchemaLocation",
                     "http://www.onvif.org/onvif/ver10/schema/onvif.xsd"),
            )
        )  # fmt: skip

    async def pull(self, call: Call) -> str:
        """``PullMessages``: waits for something to happen; asking keeps the subscription."""
        one = self._find(call)
        wait_s = min(duration_s(call.said("Timeout")) or 0.0, LONGEST_PULL_S)
        most = count(call.said("MessageLimit"), MOST_QUEUED)
        one.until_s = self._parts.clock.monotonic_s() + one.lease_s + wait_s
        if not one.queue:
            one.came.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await one.came.wait()
            except TimeoutError:
                pass
        one.until_s = self._parts.clock.monotonic_s() + one.lease_s
        told = [one.queue.popleft() for _ in range(min(max(1, most), len(one.queue)))]
        return self._times("tev", one) + "".join(told)

    def synchronize(self, call: Call) -> str:
        """``SetSynchronizationPoint``: every state is told again."""
        one = self._find(call)
        one.known.clear()
        self._look(one)
        return ""

    def renew(self, call: Call) -> str:
        """``Renew``."""
        one = self._find(call)
        one.lease_s = self._lease_s(call.said("TerminationTime"))
        one.until_s = self._parts.clock.monotonic_s() + one.lease_s
        now_us = self._parts.clock.wall_us()
        until = leaf("wsnt:TerminationTime", instant(now_us + round(one.lease_s * 1e6)))
        return until + leaf("wsnt:CurrentTime", instant(now_us))

    def unsubscribe(self, call: Call) -> str:
        """``Unsubscribe``."""
        self._find(call)
        self._drop(call.path.rpartition("/")[2])
        return ""

    def _find(self, call: Call) -> _Subscription:
        """Return the subscription at whose address we were asked: its owner's only."""
        self._expire()
        one = self._subscriptions.get(call.path.rpartition("/")[2])
        if one is None or one.owner != call.subject.name:
            raise Fault("there is no such subscription", "ter:InvalidArgVal", "ter:NoEntity")
        return one

    def _drop(self, token: str) -> None:
        one = self._subscriptions.pop(token, None)
        if one is not None:
            one.came.set()  # who still pulls gets what there is
            if one.consumer is not None:
                one.consumer.close()
        if not self._subscriptions:
            self._there.clear()

    def _expire(self) -> None:
        now_s = self._parts.clock.monotonic_s()
        for token, one in list(self._subscriptions.items()):
            if one.until_s <= now_s or self._parts.machines.subject(one.owner) is None:
                self._drop(token)

    def _look(self, one: _Subscription) -> None:
        """Tell a subscription what is new to it."""
        now = instant(self._parts.clock.wall_us())
        seen = dict(self._states(one))
        for key, value in seen.items():
            before = one.known.get(key)
            if before != value:
                how = "Initialized" if before is None else "Changed"
                one.queue.append(_message(*key, value, how, now))
                one.came.set()
        for key in one.known.keys() - seen.keys():
            one.queue.append(_message(*key, one.known[key], "Deleted", now))
            one.came.set()
        one.known = seen

    def _states(self, one: _Subscription) -> Iterator[tuple[tuple[str, str], str]]:
        subject = self._parts.machines.subject(one.owner)
        if subject is None:
            return
        if one.wants(INPUT):
            for line in inputs_of(self._parts, subject):
                active = line.state not in {None, "normal"}
                yield (INPUT, line.name), "true" if active else "false"
        if one.wants(RELAY):
            for output in self._outputs.shown(subject):
                active = output.on != output.safe
                yield (RELAY, output.name), "active" if active else "inactive"
        if one.wants(MOTION):
            for camera in self._channels.sources(subject):
                moves = any(what.kind == "motion" for what in camera.happening)
                yield (MOTION, camera.name), "true" if moves else "false"

    def _lease_s(self, said: str) -> float:
        """How long a subscription is to stand: a duration, or a time."""
        length_s = LEASE_S if not said else duration_s(said)
        if length_s is None and (at_us := instant_us(said)) is not None:
            length_s = (at_us - self._parts.clock.wall_us()) / 1e6
        if length_s is None:
            raise Fault("that is no time", "ter:InvalidArgVal")
        return min(max(length_s, SHORTEST_S), LONGEST_S)

    def _times(self, prefix: str, one: _Subscription) -> str:
        now_us = self._parts.clock.wall_us()
        left_s = max(0.0, one.until_s - self._parts.clock.monotonic_s())
        return leaf(f"{prefix}:CurrentTime", instant(now_us)) + leaf(
            f"{prefix}:TerminationTime", instant(now_us + round(left_s * 1e6))
        )


def _topics(call: Call) -> tuple[str, ...]:
    """Topics that are wanted, without prefixes; none: all.

    Raises:
        Fault: It filters by contents, which we do not do.
    """
    wanted = child(call.body, "Filter")
    if wanted is None:
        return ()
    found: list[str] = []
    for one in wanted.children:
        if one.name != "TopicExpression":
            raise Fault("messages are not filtered by contents", "ter:InvalidArgVal")
        for part in one.text.split("|"):
            steps = [step.rpartition(":")[2] for step in part.strip().split("/")]
            found.append("/".join(steps))
    return tuple(found)


def _message(topic: str, source: str, value: str, how: str, at: str) -> str:
    key, _, name, _ = _ITEMS[topic]
    return tag(
        "wsnt:NotificationMessage", leaf("wsnt:Topic", f"tns1:{topic}", Dialect=_DIALECT),
        tag(
            "wsnt:Message",
            tag(
                "tt:Message",
                tag("tt:Source", tag("tt:SimpleItem", Name=key, Value=source)),
                tag("tt:Data", tag("tt:SimpleItem", Name=name, Value=value)),
                UtcTime=at, PropertyOperation=how,
            ),
        ),
    )  # fmt: skip


def _described(*topics: str) -> str:
    """Topics of one root, as a tree."""
    root, *middle = topics[0].split("/")[:-1]
    inner = ""
    for topic in topics:
        key, key_type, name, type_ = _ITEMS[topic]
        told = tag(
            "tt:MessageDescription",
            tag("tt:Source", tag("tt:SimpleItemDescription", Name=key, Type=key_type)),
            tag("tt:Data", tag("tt:SimpleItemDescription", Name=name, Type=type_)),
            IsProperty=True,
        )  # fmt: skip
        inner += tag(topic.rpartition("/")[2], told, **{"wstop:topic": True})
    for step in reversed(middle):
        inner = tag(step, inner)
    return tag(f"tns1:{root}", inner)
