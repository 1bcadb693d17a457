"""Picking a stream up where it was left: after a stop, a power cut, or a disk that was away."""

import logging

from nvr.base.errors import Damaged
from nvr.base.log import event
from nvr.record import block
from nvr.record.header import Cause, PartHeader
from nvr.record.lane import Lane, Run
from nvr.record.seal import Sealer
from nvr.record.store import Store

_log = logging.getLogger(__name__)


def open_lane(store: Store, stream: str, run: Run | None, sealer: Sealer) -> Lane:
    """Return the lane of a stream: in its last block, if that has room and the codecs are the same.

    Args:
        store: The open volume.
        stream: Name of the stream.
        run: What this process was recording of it when it let the volume go.
        sealer: Seals and signs.
    """
    ends = store.catalog.ends(stream)
    last = ends.last if ends else None
    ring = store.ring
    if ring.unread and (last is None or last.head.serial < ring.unread_serial):
        # Its last block is not read yet: its chain begins anew, above all numbers used.
        return Lane(stream, store.identity, None, None, Cause.NONE, sealer, ring.fresh_sequence)
    header: PartHeader | None = None
    if last is not None and (run or not last.closed):
        try:
            entries = store.entries(last)
            if entries:
                read = store.reader(last.head.block)
                header = block.read_header(read, last.head, entries[-1].offset)
        except (Damaged, OSError) as err:
            event(_log, logging.WARNING, "record.block_left", error=str(err), stream=stream)
        if header is not None and not last.closed:
            # What was erased meanwhile is not gone on with.
            header = header if ring.use(last.head.block, last.head.serial) else None
    cause = Cause.STOPPED if ring.clean else Cause.POWER
    lane = Lane(stream, store.identity, last, header, cause, sealer)
    if last and header and run and header.run == run.number:
        lane.go_on(run, last.head.config, header)
    return lane
