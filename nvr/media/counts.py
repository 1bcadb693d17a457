"""What a native session counts, as the rest of the box takes it."""

from nvr.base.clock import TICKS_PER_S
from nvr.media.ports import RunStats


def run_stats(counted: tuple[int, ...]) -> RunStats:
    """Return what `Session.stats` said, with its ticks as seconds."""
    took, packets, lost, damaged, frames, keys, other, packet, key, gop, *more = counted
    gop_frames, reordered, sound, anchors, late, lead, lead_at, ntp_us, ntp_at, *rest = more
    keyless, setless, restored, foreign, overrun, jitter_us, fields, replayed = rest
    return RunStats(
        took, packets, lost, damaged, frames, keys, packet / TICKS_PER_S, key / TICKS_PER_S,
        gop, gop_frames, other, reordered, sound, anchors, late / TICKS_PER_S, lead / TICKS_PER_S,
        lead_at / TICKS_PER_S, ntp_us, ntp_at / TICKS_PER_S, keyless, setless, restored, foreign,
        overrun, jitter_us / 1_000_000, fields, bool(replayed),
    )  # fmt: skip
