"""Exports into a real S3 server that somebody else wrote, over lines that break."""

import contextlib
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import NvrError
from nvr.export import s3
from nvr.export.jobs import Jobs
from nvr.export.order import Wanted
from nvr.export.out import SUMS, Away, Steps
from nvr.export.s3 import Bucket, Notes, StoreOut
from nvr.export.store import Place, Store
from nvr.export.target import AllTargets
from nvr.web import tls
from tests.export.rclone import Server
from tests.web.box import Pieces

MIB = 1 << 20
BLOCK = bytes(range(256)) * 4096


def wall_us() -> int:
    return time.time_ns() // 1000


class Line:
    """What lies between the box and the store: can be cut, and cut in the middle of something."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.up = True
        self.cut_after_bytes: int | None = None
        self.flip_after_bytes: int | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def cut(self) -> None:
        self.up = False
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._open.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self.up:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(
                        target=self._carry, args=(one, other, one is near), daemon=True
                    ).start()

    def _carry(self, one: socket.socket, other: socket.socket, out: bool) -> None:
        try:
            while data := one.recv(65536):
                if out and self.cut_after_bytes is not None:
                    self.cut_after_bytes -= len(data)
                    if self.cut_after_bytes < 0:
                        self.cut_after_bytes = None
                        self.cut()
                        return
                if out and self.flip_after_bytes is not None:
                    self.flip_after_bytes -= len(data)
                    if self.flip_after_bytes < 0:
                        self.flip_after_bytes = None
                        data = data[:-1] + bytes([data[-1] ^ 1])
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            with contextlib.suppress(OSError):  # who sends must not wait for nobody to read
                while one.recv(65536):
                    pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    made = Line(server.port)
    yield made
    made.close()


@pytest.fixture
def bucket(line: Line, tmp_path: Path) -> Bucket:
    return at(f"http://127.0.0.1:{line.port}", tmp_path)


def at(endpoint: str, tmp_path: Path, **more: object) -> Bucket:
    place = Place(endpoint, "evidence", "box-7/", "us-east-1", True, "nvr")
    return Bucket(
        replace(place, **more),
        lambda: "correct",
        wall_us,
        Notes(tmp_path / "uploads"),  # type: ignore[arg-type]
    )


OPENED: list[Store] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def out(bucket: Bucket) -> StoreOut:
    OPENED.append(bucket.store())
    return StoreOut(OPENED[-1], "20260301-1", bucket.notes, 1000)


def pieces(mib: int) -> Iterator[tuple[bytes, float]]:
    for n in range(mib):
        yield bytes([n]) + BLOCK, (n + 1) / mib  # a part never ends with a piece


def whole(mib: int) -> bytes:
    return b"".join(piece for piece, _ in pieces(mib))


def through(steps: Steps, away: Callable[[Away], None] | None = None) -> list[Away]:
    found = []
    for step in steps:
        if isinstance(step, Away):
            found.append(step)
            assert len(found) < 20
            assert away, step
            away(step)
    return found


def code(steps: Steps) -> str:
    with pytest.raises(NvrError) as refused:
        through(steps)
    return refused.value.code


def unfinished(bucket: Bucket) -> list[str]:
    """What the store itself says is begun."""
    store = Store(replace(bucket.place, prefix=""), bucket.secret, wall_us)
    sending = store._ask("GET", "", {"uploads": ""})
    try:
        while True:
            next(sending)
    except StopIteration as done:
        return [key.decode() for key in re.findall(rb"<Key>([^<]*)</Key>", done.value.body)]
    finally:
        store.close()


def test_an_export_arrives_whole_in_parts(server: Server, bucket: Bucket, tmp_path: Path) -> None:
    made = out(bucket)
    through(made.write("东门 1.mp4", pieces(21)))
    through(made.write("small.zip", [(b"x", 1.0)]))
    through(made.write("empty.mp4", []))
    through(made.finish(lambda: True))
    made.give_up()  # too late
    assert server.object("box-7/20260301-1/东门 1.mp4") == whole(21)
    assert server.object("box-7/20260301-1/small.zip") == b"x"
    assert server.object("box-7/20260301-1/empty.mp4") == b""
    sums = server.object(f"box-7/20260301-1/{SUMS}").decode()
    assert sums.splitlines()[0] == f"{hashlib.sha256(whole(21)).hexdigest()}  东门 1.mp4"
    assert (made.files[0].size_bytes, made.safe) == (21 * (MIB + 1), None)
    assert made.place == "s3://evidence/box-7/20260301-1"
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_line_lost_in_the_middle_of_a_part_costs_only_time(
    server: Server, bucket: Bucket, line: Line
) -> None:
    made = out(bucket)
    line.cut_after_bytes = 12 * MIB
    told: list[Away] = []

    def wait(away: Away) -> None:
        told.append(away)
        line.up = len(told) >= 3

    through(made.write("a.mp4", pieces(30)), wait)
    through(made.finish(lambda: True))
    assert server.object("box-7/20260301-1/a.mp4") == whole(30)
    assert [away.why.code for away in told] == ["s3.away"] * 3
    assert [away.wait_s for away in told] == [1.0, 2.0, 4.0]


def test_an_answer_that_is_lost_is_no_harm(server: Server, bucket: Bucket, line: Line) -> None:
    store = bucket.store()
    upload = store.begin("a", "text/plain")
    sending = store.send("a", upload, 1, memoryview(b"abc"))
    try:
        while True:
            next(sending)
    except StopIteration as done:
        part = done.value
    store.complete("a", upload, [part], 3)
    store.complete("a", upload, [part], 3)  # as it is done again when nobody heard that it was
    with pytest.raises(NvrError, match=r"s3\.wrong_bytes"):
        store.complete("a", upload, [part], 4)
    store.abort("a", upload)
    store.close()


def test_what_is_cancelled_is_aborted_in_the_store(
    server: Server, bucket: Bucket, tmp_path: Path
) -> None:
    made = out(bucket)
    through(made.write("a.mp4", pieces(1)))
    steps = made.write("b.mp4", pieces(20))
    for _ in range(12):
        next(steps)
    assert unfinished(bucket) == ["box-7/20260301-1/b.mp4"]
    steps.close()
    made.give_up()
    assert unfinished(bucket) == []
    assert server.names() == set()
    assert list((tmp_path / "uploads").iterdir()) == []


def test_what_a_cut_of_power_left_is_aborted_later(
    server: Server, bucket: Bucket, line: Line, tmp_path: Path
) -> None:
    steps = out(bucket).write("a.mp4", pieces(20))
    next(steps)  # and the power goes
    assert len(unfinished(bucket)) == 1
    again = replace(bucket, notes=Notes(tmp_path / "uploads"))
    line.cut()
    again.notes.tidy(again.store)
    assert len(list((tmp_path / "uploads").iterdir())) == 1, "the store was away"
    line.up = True
    again.notes.tidy(again.store)
    assert len(unfinished(bucket)) == 1, "not more than once a minute"
    later = Notes(tmp_path / "uploads")
    later.tidy(again.store)
    assert unfinished(bucket) == []
    assert list((tmp_path / "uploads").iterdir()) == []
    bucket.notes.tidy(bucket.store)


def test_an_upload_under_way_is_not_tidied_away(bucket: Bucket) -> None:
    steps = out(bucket).write("a.mp4", pieces(20))
    next(steps)
    bucket.notes.tidy(bucket.store)
    assert len(unfinished(bucket)) == 1
    steps.close()


@pytest.mark.parametrize(
    ("more", "secret", "expected"),
    [
        ({}, "wrong", "s3.denied"),
        ({"key_id": "nobody"}, "correct", "s3.denied"),
        ({"bucket": "no-such"}, "correct", "s3.no_bucket"),
    ],
)
def test_what_cannot_be_cured_by_waiting_is_said_at_once(
    bucket: Bucket, more: dict[str, object], secret: str, expected: str
) -> None:
    changed = replace(bucket, place=replace(bucket.place, **more), secret=lambda: secret)  # type: ignore[arg-type]
    assert code(out(changed).write("a.mp4", pieces(1))) == expected


def test_what_changes_on_the_way_is_never_stored(
    server: Server, bucket: Bucket, line: Line
) -> None:
    made = out(bucket)
    line.flip_after_bytes = 9 * MIB
    told: list[Away] = []
    with pytest.raises(NvrError, match=r"s3\.refused"):  # this server forgets the upload then
        through(made.write("a.mp4", pieces(20)), told.append)
    assert [away.why.code for away in told] == ["s3.wrong_bytes"]
    made.give_up()
    assert server.names() == set()


def test_a_wrong_clock_is_told_from_a_wrong_secret_and_waited_out(bucket: Bucket) -> None:
    two_days_us = 2 * 86_400_000_000
    wrong = replace(bucket, wall_us=lambda: wall_us() - two_days_us)
    first = next(iter(out(wrong).write("a.mp4", pieces(1))))
    assert isinstance(first, Away)
    assert first.why.code == "s3.clock"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "s3.away"),
        (b"\x1b[31m\x00\xff\r\n\r\n", "s3.away"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "s3.refused"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello", "s3.away"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "s3.elsewhere"),
        (b"HTTP/1.1 403 \x1b[2J\r\n\r\n<Code>\x1b[31mAccess\nDenied</Code>", "s3.denied"),
        (b"HTTP/1.1 200 OK\r\n\r\n<Error><Code>InternalError</Code></Error>", "s3.away"),
    ],
)
def test_what_is_no_store_is_told_in_plain_words(answer: bytes, code: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                near, _ = listener.accept()
                with near:
                    near.recv(65536)
                    near.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        bucket = at(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path)
        OPENED.append(bucket.store())
        with pytest.raises(NvrError) as refused:
            OPENED[-1].begin("a", "text/plain")
        assert refused.value.code == code
        assert str(refused.value).isprintable()


def test_a_name_that_leads_to_this_box_is_refused_and_its_address_is_not(
    server: Server, tmp_path: Path
) -> None:
    named = at(f"http://localhost:{server.port}", tmp_path)
    assert code(out(named).write("a.mp4", pieces(1))) == "s3.forbidden"
    nowhere = at("http://no-such-host.invalid", tmp_path)
    assert isinstance(next(iter(out(nowhere).write("a.mp4", pieces(1)))), Away)


def test_certificates_are_verified_and_an_own_ca_can_be_named(tmp_path: Path) -> None:
    made = tls.load_tls(tmp_path, ["127.0.0.1"])
    assert made
    server = Server(
        tmp_path, "--cert", str(tmp_path / "tls.crt"), "--key", str(tmp_path / "tls.key")
    )
    try:
        url = f"https://127.0.0.1:{server.port}"
        assert code(out(at(url, tmp_path)).write("a.mp4", pieces(1))) == "s3.untrusted"
        trusted = at(url, tmp_path, ca=tmp_path / "tls.crt")
        through(out(trusted).write("a.mp4", pieces(1)))
        assert server.object("box-7/20260301-1/a.mp4") == whole(1)
        with pytest.raises(NvrError, match=r"s3\.ca"):
            at(url, tmp_path, ca=tmp_path / "none.pem").store()
    finally:
        server.close()


def test_it_is_sent_no_faster_than_allowed(server: Server, tmp_path: Path) -> None:
    slow = at(f"http://127.0.0.1:{server.port}", tmp_path, bytes_per_s=1e6)
    begun_s = time.monotonic()
    through(out(slow).write("a.mp4", pieces(1)))
    assert time.monotonic() - begun_s >= MIB / 1e6 * 0.9


def test_parts_are_as_big_as_the_export_needs() -> None:
    assert s3.part_bytes(0) == s3.part_bytes(40 << 30) == 8 * MIB
    assert s3.part_bytes(400 << 30) * 10_000 >= (400 << 30) * 1.2
    assert s3.part_bytes(1 << 50) == s3.MOST_PART_BYTES


def test_while_the_store_is_away_the_next_export_goes_on(
    bucket: Bucket, line: Line, server: Server, tmp_path: Path
) -> None:
    make = Pieces()
    make.pieces = 2
    ended = []
    line.cut()
    work = Jobs(
        tmp_path / "export", make, FakeClock(), keep_s=3600.0,
        targets=AllTargets((), bucket), ended=ended.append,
    )  # fmt: skip
    try:
        for _ in range(20):
            make.go.release()
        work.add(Wanted("mp4", ("gate",), 100, 200, "wang", target="s3"))
        until(lambda: work.get(1).state == "waiting")
        assert work.get(1).code == "s3.away"
        work.add(Wanted("mp4", ("gate",), 100, 200, "wang"))
        until(lambda: work.get(2).state == "done")
        line.up = True
        until(lambda: work.get(1).state == "done")
        done = work.get(1)
        assert (done.code, done.safe) == ("", None)
        assert done.place == "s3://evidence/box-7/" + done.place.rsplit("/", 1)[1]
        assert {name.rsplit("/", 1)[1] for name in server.names()} == {"gate.mp4", SUMS}
        assert [job.number for job in ended] == [2, 1]
        with pytest.raises(NvrError, match=r"export\.elsewhere"):
            work.path(1, "gate.mp4")
    finally:
        work.close()


def until(holds: Callable[[], object]) -> None:
    end_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.02)
