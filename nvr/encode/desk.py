"""The box's encoders: tried once a boot, shared among its streams, fallen back from.

What a trial says holds until the machine is booted again: until then drivers stay what they are;
it is kept in ``encoders.json``. A stream that an encoder fails gets the next one for ten minutes.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, NvrError, Unavailable
from nvr.base.log import event
from nvr.base.program import Program
from nvr.encode.share import SOFTWARE, Ask, Grant, Has, load, share
from nvr.encode.verdict import Order, Verdict
from nvr.media.encoding import EncodedStream, EncoderState, EncodingReport
from nvr.media.track import VideoCodec

_log = logging.getLogger(__name__)

FILE: Final = "encoders.json"
_TRIAL_S: Final = 120.0
_END_S: Final = 3.0
_PASSED_OVER_S: Final = 600.0
_DIED_AT_ONCE: Final = 2
"""So often in a row may an encoder die before another one takes its place."""
_ENCODERS: Final = frozenset({"encoder.refused", "encoder.unknown"})
_PERHAPS: Final = frozenset({"encoder.died", "film.died", "film.silent", "camera.silent"})


@dataclass(frozen=True, slots=True)
class Offer:
    """One encoder of the board. See ``[[encoder]]`` of the board file."""

    name: str
    codecs: tuple[VideoCodec, ...] = ("h264",)
    sessions: int = 64
    mpixel_s: float = float("inf")


class _Kept(msgspec.Struct, frozen=True):
    key: str
    verdicts: list[Verdict]


async def hold(order: Order, module: str = "nvr.encode.trial") -> Verdict:
    """Hold a trial in a process of its own; whatever becomes of that is a verdict."""
    failed = Verdict(encoder=order.encoder, codec=order.codec, works=False, code="encoder.failed")
    try:
        program = await Program.start(module)
    except OSError as err:
        return msgspec.structs.replace(failed, detail=f"no process to try it in: {err}")
    try:
        program.write(msgspec.json.encode(order) + b"\n")
        async with asyncio.timeout(_TRIAL_S):
            said = await program.lines.readline()
            if said:
                return msgspec.json.decode(said, type=Verdict)
            how = await program.how(_END_S)
            return msgspec.structs.replace(failed, detail=f"its trial ended {how}")
    except TimeoutError:
        return msgspec.structs.replace(failed, detail="its trial hung")
    except (ValueError, OSError) as err:
        return msgspec.structs.replace(failed, detail=f"its trial says nonsense: {err}")
    finally:
        await program.end(_END_S)


class Desk:
    """Gives encoders out. Of the event loop's thread.

    Args:
        offers: The board's, in order of preference.
        cores: Processors that encoding may use.
        keep: Where verdicts are kept, None for nowhere.
        boot: What changes when they hold no longer: boot and versions.
        clock: Time source.
        moved: Told of a stream whose grant has become another one without its asking.
        proven: There is a report of a bench run on such a board.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        cores: float,
        keep: Path | None,
        boot: str,
        clock: Clock,
        moved: Callable[[str, Grant, Grant], None],
        *,
        proven: bool = False,
    ) -> None:
        self._offers, self._cores = tuple(offers), cores
        self._keep, self._boot, self._clock = keep, boot, clock
        self._moved, self._proven = moved, proven
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._tried: dict[VideoCodec, asyncio.Event] = {
            "h264": asyncio.Event(), "h265": asyncio.Event()
        }  # fmt: skip
        self._asked: dict[VideoCodec, asyncio.Event] = {
            "h264": asyncio.Event(), "h265": asyncio.Event()
        }  # fmt: skip
        self._asked["h264"].set()
        self._asks: dict[str, Ask] = {}
        self._grants: dict[str, Grant] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._passed_over: dict[tuple[str, str], float] = {}

    async def run(self, *, all_codecs: bool = False) -> None:
        """Try every encoder of the board, unless that was done since the machine was booted.

        Those of H.265 once somebody wants it, for a small board is busy with that for a while; now
        if `all_codecs`.
        """
        self._verdicts = await asyncio.to_thread(self._remembered)
        for codec, tried in self._tried.items():
            if any(codec in offer.codecs for offer in self._offers) and not all_codecs:
                await self._asked[codec].wait()
            for offer in self._offers:
                if codec not in offer.codecs or (offer.name, codec) in self._verdicts:
                    continue
                verdict = await hold(Order(offer.name, codec))
                self._verdicts[offer.name, codec] = verdict
                event(
                    _log,
                    logging.INFO,
                    "encoder.tried",
                    encoder=offer.name,
                    codec=codec,
                    works=verdict.works,
                    why=verdict.detail,
                    took_s=verdict.took_s,
                )
            tried.set()
            await asyncio.to_thread(self._remember)

    async def grant(self, ask: Ask, ended: NvrError | None = None) -> Grant:
        """Give a stream an encoder, once all of its codec were tried; it has it until `leave`.

        Args:
            ask: What it needs; what has failed is filled in here.
            ended: With what its last attempt ended, None if it is the first.

        Raises:
            Unavailable: ``encoder.busy``: all that would do are taken.
            Misconfigured: ``encoder.none``: none that works here would do.
        """
        self._asked[ask.codec].set()
        await self._tried[ask.codec].wait()
        self._count(ask.stream, ended)
        self._asks[ask.stream] = ask
        grant = self._share(ask.stream)
        if grant.code == "encoder.busy":
            raise Unavailable("encoder.busy", grant.detail)
        if grant.code:
            raise Misconfigured("encoder.none", grant.detail)
        return grant

    def resize(self, stream: str, mpixel_s: float) -> None:
        """Its pictures have turned out to be of another size or rate."""
        ask = self._asks.get(stream)
        if ask is not None and ask.mpixel_s != mpixel_s:
            self._asks[stream] = replace(ask, mpixel_s=mpixel_s)
            self._share()

    def leave(self, stream: str) -> None:
        """It needs none any more."""
        if self._asks.pop(stream, None) is not None:
            self._share()

    def granted(self, stream: str) -> Grant | None:
        """What a stream has."""
        return self._grants.get(stream)

    def report(self) -> EncodingReport:
        """Return all there is to say, without what each stream has done."""
        streams = tuple(
            EncodedStream(
                name, it.encoder, it.preset, it.instead_of, it.code, it.detail,
                round(self._asks[name].mpixel_s, 2),
            )
            for name, it in self._grants.items()
            if name in self._asks
        )  # fmt: skip
        states = tuple(
            self._state(offer, codec) for offer in self._offers for codec in offer.codecs
        )
        return EncodingReport(states, streams, self._cores, round(self._used(), 2))

    def _state(self, offer: Offer, codec: VideoCodec) -> EncoderState:
        found = self._verdicts.get((offer.name, codec))
        state = "trying" if self._asked[codec].is_set() else "untried"
        if found is not None:
            state = "works" if found.works else "failed"
        used = sum(
            it.encoder == offer.name and self._asks[name].codec == codec
            for name, it in self._grants.items()
            if name in self._asks
        )
        return EncoderState(
            offer.name,
            codec,
            state,
            found.code if found else "",
            found.detail if found else "",
            found.psnr_db if found else 0.0,
            offer.sessions,
            used,
            0.0 if offer.mpixel_s == float("inf") else offer.mpixel_s,
            tuple(found.costs.items()) if found else (),
            self._proven,
        )

    def _used(self) -> float:
        board = {has.name: has for has in self._board()}
        total = 0.0
        for name, it in self._grants.items():
            ask, has = self._asks.get(name), board.get(it.encoder)
            if ask is None or has is None or has.name not in SOFTWARE:
                continue
            costs = has.costs.get(ask.codec) or {}
            known = it.preset in costs
            total += ask.mpixel_s * costs[it.preset] if known else load([(ask, has)])
        return total

    def _count(self, stream: str, ended: NvrError | None) -> None:
        """Pass over an encoder that refused, or died twice in a row."""
        had = self._grants.get(stream)
        if had is None or not had.encoder:
            return
        place = (stream, had.encoder)
        if ended is None or ended.code not in _ENCODERS | _PERHAPS:
            self._failures.pop(place, None)
            return
        self._failures[place] = self._failures.get(place, 0) + 1
        if ended.code in _ENCODERS or self._failures[place] >= _DIED_AT_ONCE:
            self._failures.pop(place)
            self._passed_over[place] = self._clock.monotonic_s() + _PASSED_OVER_S
            event(
                _log,
                logging.WARNING,
                "encoder.passed_over",
                stream=stream,
                encoder=had.encoder,
                code=ended.code,
                why=ended.detail,
            )

    def _board(self) -> list[Has]:
        board = []
        for offer in self._offers:
            passed = {
                codec: found
                for codec in offer.codecs
                if (found := self._verdicts.get((offer.name, codec))) and found.works
            }
            if passed:
                costs = {codec: found.costs for codec, found in passed.items()}
                board.append(
                    Has(offer.name, frozenset(passed), offer.sessions, offer.mpixel_s, costs)
                )
        return board

    def _share(self, asking: str = "") -> Grant:
        now_s = self._clock.monotonic_s()
        self._passed_over = {k: t for k, t in self._passed_over.items() if t > now_s}
        asks = [
            replace(ask, failed=frozenset(n for s, n in self._passed_over if s == ask.stream))
            for ask in self._asks.values()
        ]
        before, self._grants = self._grants, share(asks, self._board(), self._cores)
        for stream, now in self._grants.items():
            was = before.get(stream)
            if was is not None and stream != asking and now != was:
                self._moved(stream, was, now)
        return self._grants.get(asking, Grant(""))

    def _remembered(self) -> dict[tuple[str, str], Verdict]:
        try:
            kept = msgspec.json.decode(self._keep.read_bytes() if self._keep else b"", type=_Kept)
        except (OSError, msgspec.DecodeError):
            return {}
        if kept.key != self._boot:
            return {}
        return {(one.encoder, one.codec): one for one in kept.verdicts}

    def _remember(self) -> None:
        if self._keep is None:
            return
        kept = _Kept(self._boot, list(self._verdicts.values()))
        fresh = self._keep.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(kept))
            fresh.replace(self._keep)
        except OSError as err:
            event(_log, logging.WARNING, "encoder.unnoted", error=str(err))
