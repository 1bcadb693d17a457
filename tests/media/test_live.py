import asyncio

from nvr.media.live import Mailbox, Watcher
from nvr.media.part import Fragment
from nvr.media.track import TrackConfig

CONFIG = (TrackConfig("video", "h264", 90_000, b"", 16, 16),)


def fragment(number, size=1000, gop=10):
    return Fragment(bytes(size), number % gop == 0, number * 3600, 0.0)


async def test_a_viewer_that_stalls_loses_whole_groups_of_pictures():
    got = []
    mailbox = Mailbox(asyncio.get_running_loop())
    watcher = Watcher(mailbox, lambda _, fragments: got.extend(fragments), queue_bytes=15_000)
    for number in range(25):  # the loop stands still: 16th and later do not fit
        watcher.push(CONFIG, [fragment(number)])
        mailbox.flush()
    await asyncio.sleep(0)
    assert [item.start_90k // 3600 for item in got] == [20, 21, 22, 23, 24]
    assert watcher.dropped == 16
    for number in range(25, 28):
        watcher.push(CONFIG, [fragment(number)])
    mailbox.flush()
    await asyncio.sleep(0)
    assert [item.start_90k // 3600 for item in got[5:]] == [25, 26, 27]


async def test_a_stalled_loop_finds_one_call_waiting():
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop)
    calls = []
    watcher = Watcher(mailbox, lambda _, fragments: calls.append(len(fragments)))
    posted = []
    real = loop.call_soon_threadsafe
    loop.call_soon_threadsafe = lambda *args: posted.append(real(*args))
    try:
        for number in range(100):
            watcher.push(CONFIG, [fragment(number)])
            mailbox.flush()
    finally:
        del loop.call_soon_threadsafe
    assert len(posted) == 1
    await asyncio.sleep(0)
    assert sum(calls) == 100


async def test_one_large_delivery_passes_a_small_queue():
    got = []
    mailbox = Mailbox(asyncio.get_running_loop())
    watcher = Watcher(mailbox, lambda _, fragments: got.extend(fragments), queue_bytes=100)
    watcher.push(CONFIG, [fragment(0), fragment(1)])
    mailbox.flush()
    await asyncio.sleep(0)
    assert len(got) == 2


async def test_nothing_is_delivered_after_the_end():
    got = []
    mailbox = Mailbox(asyncio.get_running_loop())
    watcher = Watcher(mailbox, lambda _, fragments: got.extend(fragments))
    watcher.push(CONFIG, [fragment(0)])
    mailbox.flush()
    watcher.close()
    await asyncio.sleep(0)
    assert got == []
