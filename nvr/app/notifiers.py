"""Upstream systems that are told what happens: on or off as the file says, while all runs."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import tomlkit

from nvr import __version__
from nvr.app.cameras import CameraTable
from nvr.app.data import DataDirectory
from nvr.app.doors import Doors
from nvr.app.edit import Change
from nvr.app.newsroom import Newsroom
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.base.permit import Permit
from nvr.base.supervise import Backoff, ended, supervise
from nvr.config import load
from nvr.config.model import Config
from nvr.config.notify import Mqtt, Syslog, Told, Webhook
from nvr.media.camera import BoxState
from nvr.media.gpio import Lines
from nvr.media.news import TEST, News
from nvr.media.notify import (
    NOTIFY_KINDS,
    NotifyKind,
    NotifySettings,
    NotifyState,
    unknown_notifier,
)
from nvr.media.ports import Ptz
from nvr.serve.notify.hook_queue import FILE, HookQueue
from nvr.serve.notify.mqtt import MqttNotifier
from nvr.serve.notify.mqtt_command import Commands
from nvr.serve.notify.mqtt_state import States
from nvr.serve.notify.syslog import SyslogNotifier
from nvr.serve.notify.webhook import WebhookNotifier
from nvr.wire.openmetrics import Family
from nvr.wire.webhook import secret_of

_log = logging.getLogger(__name__)

_BACKOFF: Final = Backoff(first_s=1.0, cap_s=60.0, stable_s=30.0, jitter=0.3)
_STRUCTS: dict[NotifyKind, type[Told]] = {"mqtt": Mqtt, "webhook": Webhook, "syslog": Syslog}
Notifier = MqttNotifier | WebhookNotifier | SyslogNotifier
_Key = tuple[NotifyKind, str]


@dataclass(slots=True)
class _One:
    settings: NotifySettings
    notifier: Notifier | None = None
    task: asyncio.Task[None] | None = None


class BoxNotifiers:
    """See `nvr.media.notify.Notifiers`.

    Args:
        config: As loaded.
        data: Where passwords are, and what waits for webhooks.
        doors: Knows credentials and the log.
        newsroom: Where news come from.
        cameras: What brokers are told, and may have done.
        lines: The same.
        ptz: The same.
        box: The same.
        reported: Told of what a broker reported at a camera, and until when it is recorded.
        clock: Time source.
    """

    def __init__(
        self,
        config: Config,
        data: DataDirectory,
        doors: Doors,
        newsroom: Newsroom,
        cameras: CameraTable,
        lines: Lines,
        ptz: Ptz,
        box: BoxState,
        reported: Callable[[str, int], None],
        clock: Clock,
    ) -> None:
        self._data, self._doors, self._newsroom = data, doors, newsroom
        self._cameras, self._lines, self._ptz = cameras, lines, ptz
        self._box, self._clock = box, clock
        self._report = reported
        self._permit = Permit(config.local_upstream)
        self._states = States(cameras, lines, newsroom.volumes, box, __version__)
        self._ones: dict[_Key, _One] = {}
        self._queue: HookQueue | None = None
        self._disk = ThreadPoolExecutor(1, "webhook")
        self._secrets: dict[_Key, bool] = {}
        self._config = config
        newsroom.offer = self._offer
        doors.machines.subscribe(self._revoked)

    def close(self) -> None:
        """Let go of the file of what waits."""
        self._disk.shutdown()
        if self._queue is not None:
            self._queue.close()

    async def run(self) -> None:
        """Tell them, until cancelled."""
        try:
            await self._look_at_secrets()
            if (self._data.path / FILE).exists():  # hooks may have been taken out of the file
                names = [one.name for one in self._config.webhook]
                await self._on_disk(self._hooks().keep_only, names)
            for settings in _settings(self._config):
                self._begin(settings)
            await self._newsroom.run()
        finally:
            await ended([one.task for one in self._ones.values() if one.task is not None])

    def all(self) -> Sequence[NotifyState]:  # noqa: D102 - see Notifiers
        return [self._state(key, one) for key, one in self._ones.items()]

    async def write(self, wanted: NotifySettings, secret: str | None) -> None:  # noqa: D102 - see Notifiers
        if secret and wanted.kind != "mqtt":
            _check_secret(wanted.kind, secret)
        await self._cameras.roster.write(_written(wanted))
        if secret is not None and wanted.kind != "syslog":
            await asyncio.to_thread(
                load.edit_notify_secret,
                self._data.secrets_path, wanted.kind, wanted.name, secret or None,
            )  # fmt: skip
        await self._look_at_secrets()
        kept = await self._end((wanted.kind, wanted.name), leaves=not wanted.on)
        self._begin(wanted, kept)

    async def remove(self, kind: NotifyKind, name: str) -> None:  # noqa: D102 - see Notifiers
        if (kind, name) not in self._ones:
            raise unknown_notifier(kind, name)
        await self._cameras.roster.write(_removed(kind, name))
        if kind != "syslog":
            await asyncio.to_thread(
                load.edit_notify_secret, self._data.secrets_path, kind, name, None
            )
        await self._end((kind, name), leaves=True)
        del self._ones[kind, name]
        if kind == "webhook":
            await self._on_disk(self._hooks().forget, name)

    async def test(self, kind: NotifyKind, name: str) -> float:  # noqa: D102 - see Notifiers
        one = self._ones.get((kind, name))
        if one is None:
            raise unknown_notifier(kind, name)
        if one.notifier is None:
            raise Rejected("notify.off", "it is switched off", kind=kind, name=name)
        tally = one.notifier.tally
        if kind != "webhook" and tally.standing != "connected":
            raise tally.error or Unavailable("notify.waiting", "it waits: there is no connection")
        said = self._newsroom.news(TEST, severity="info", detail=f"a test from {self._box.name}")
        return await one.notifier.test(self._newsroom.numbered(said))

    def families(self) -> list[Family]:
        """What is counted of each."""
        connected = Family("nvr_upstream_connected", "gauge", "It is told what happens: 1, else 0.")
        sent = Family("nvr_upstream_sent", "counter", "Messages that an upstream system took.")
        lost = Family("nvr_upstream_lost", "counter", "Messages that it never got, by why.")
        waiting = Family("nvr_upstream_waiting", "gauge", "Messages that wait for it.")
        commands = Family("nvr_upstream_commands", "counter", "Commands of brokers, by result.")
        for one in self.all():
            kind, name = one.settings.kind, one.settings.name
            connected.add(int(one.standing == "connected"), kind=kind, name=name)
            sent.add(one.sent, kind=kind, name=name)
            lost.add(one.dropped, kind=kind, name=name, why="dropped")
            lost.add(one.failed, kind=kind, name=name, why="failed")
            waiting.add(one.waiting, kind=kind, name=name)
            if kind == "mqtt":
                commands.add(one.commands, name=name, result="obeyed")
                commands.add(one.refused, name=name, result="refused")
        return [connected, sent, lost, waiting, commands]

    # One of them.

    def _begin(self, settings: NotifySettings, kept: tuple[str, ...] = ()) -> None:
        one = self._ones[settings.kind, settings.name] = _One(settings)
        if settings.on:
            one.notifier = self._made(settings)
            if isinstance(one.notifier, MqttNotifier):
                one.notifier.inherit(kept)
            one.task = asyncio.create_task(self._keep(settings, one.notifier))

    async def _end(self, key: _Key, *, leaves: bool) -> tuple[str, ...]:
        """End it; returns the topics that a broker keeps, for who comes after."""
        one = self._ones.get(key)
        kept: tuple[str, ...] = ()
        if one is not None and isinstance(one.notifier, MqttNotifier):
            one.notifier.leaves = leaves
            kept = one.notifier.kept()
        if one is not None and one.task is not None:
            await ended([one.task])
            one.task, one.notifier = None, None
        return kept

    async def _keep(self, settings: NotifySettings, notifier: Notifier) -> None:
        async def once() -> None:
            notifier.tally.stand("connecting")
            try:
                await notifier.session()
            except NvrError as err:
                # Whatever it is may be put right at the other end: nobody is given up.
                raise Unavailable(err.code, err.detail, **err.context) from err

        def failed(err: NvrError, _wait_s: float) -> None:
            notifier.tally.wrong(err)
            notifier.tally.stand("waiting")

        await supervise(
            f"{settings.kind}/{settings.name}", once, clock=self._clock, backoff=_BACKOFF,
            failed=failed,
        )  # fmt: skip

    def _made(self, settings: NotifySettings) -> Notifier:
        home, permit, clock = self._data.path, self._permit, self._clock
        if settings.kind == "syslog":
            return SyslogNotifier(settings, permit, home, self._box.name, clock)

        def secret() -> str:
            found = getattr(self._data.secrets(), settings.kind).get(settings.name)
            return found.secret if found else ""

        if settings.kind == "webhook":
            return WebhookNotifier(
                settings, secret, self._hooks(), self._disk, self._who_we_are, permit, home, clock
            )
        audit = self._doors.audit
        commands = Commands(
            settings.name, self._cameras, self._lines, self._ptz, self._record, audit, clock
        )
        return MqttNotifier(
            settings, secret, self._states, commands, self._doors.machines,
            lambda: self._box.name, self._doors.endpoint, permit, home, clock,
        )  # fmt: skip

    def _state(self, key: _Key, one: _One) -> NotifyState:
        state = NotifyState(one.settings, has_secret=self._secrets.get(key, False))
        notifier = one.notifier
        if notifier is None:
            return state
        tally = notifier.tally
        box = notifier if isinstance(notifier, WebhookNotifier) else notifier.outbox
        waiting = box.waiting if isinstance(box, WebhookNotifier) else len(box)
        return replace(
            state, standing=tally.standing, since_us=tally.since_us, error=tally.error,
            error_us=tally.error_us, sent=tally.sent, sent_us=tally.sent_us, failed=tally.failed,
            dropped=box.dropped, waiting=waiting, commands=tally.commands, refused=tally.refused,
        )  # fmt: skip

    def _offer(self, news: News) -> None:
        for one in self._ones.values():
            if one.notifier is not None:
                one.notifier.offer(news)

    def _revoked(self, machine: str) -> None:
        """A broker whose credential ends is told no more, and obeyed no more, at once."""
        for one in self._ones.values():
            if isinstance(one.notifier, MqttNotifier) and one.settings.credential == machine:
                event(_log, logging.WARNING, "mqtt.revoked", broker=one.settings.name)
                one.notifier.look()

    def _record(self, camera: str, for_s: float | None) -> None:
        until_us = self._cameras.event(camera, for_s)
        self._report(camera, until_us)

    def _who_we_are(self) -> dict[str, str]:
        return {"box": self._box.name, "box_id": self._doors.endpoint}

    def _hooks(self) -> HookQueue:
        if self._queue is None:
            self._queue = HookQueue(self._data.path / FILE)
        return self._queue

    async def _on_disk(self, *call: Any) -> None:  # noqa: ANN401 - passed on
        await asyncio.get_running_loop().run_in_executor(self._disk, *call)

    async def _look_at_secrets(self) -> None:
        try:
            secrets = await asyncio.to_thread(self._data.secrets)
        except NvrError:
            return  # whoever needs one says so
        kinds: tuple[NotifyKind, ...] = ("mqtt", "webhook")
        self._secrets = {(kind, name): True for kind in kinds for name in getattr(secrets, kind)}


def _check_secret(kind: NotifyKind, secret: str) -> None:
    if kind == "syslog":
        raise Rejected("notify.secret", "a syslog server has no secret")
    try:
        secret_of(secret)
    except ValueError as err:
        raise Rejected("notify.secret", f"the secret of a webhook: {err}") from err


def _settings(config: Config) -> list[NotifySettings]:
    found = []
    for kind in NOTIFY_KINDS:
        for one in getattr(config, kind):
            values = {key: getattr(one, key) for key in one.__struct_fields__}
            said = {key: value for key, value in values.items() if value is not None}
            found.append(NotifySettings(kind=kind, **said))
    return found


def _table(wanted: NotifySettings) -> dict[str, Any]:
    """What the file says of it: its name, and what is otherwise than usual."""
    struct = _STRUCTS[wanted.kind]
    usual = NotifySettings(kind=wanted.kind, name="")
    found: dict[str, Any] = {}
    for key in struct.__struct_fields__:
        value = getattr(wanted, key)
        if key in {"name", "on", "url", "credential"} or value != getattr(usual, key):
            found[key] = list(value) if isinstance(value, tuple) else value
    return found


def _written(wanted: NotifySettings) -> Change:
    def change(document: tomlkit.TOMLDocument) -> None:
        array = document.setdefault(wanted.kind, tomlkit.aot())
        said = _table(wanted)
        entry = next((one for one in array if one.get("name") == wanted.name), None)
        if entry is None:
            entry = tomlkit.table()
            array.append(entry)
            entry = array[-1]
        for key in [key for key in entry if key not in said]:
            del entry[key]
        for key, value in said.items():
            entry[key] = value

    return change


def _removed(kind: NotifyKind, name: str) -> Change:
    def change(document: tomlkit.TOMLDocument) -> None:
        array = document[kind]
        for n, one in enumerate(array):
            if one.get("name") == name:
                del array[n]
                break
        if not len(array):
            del document[kind]

    return change
