"""Sealing under a TPM, against a real implementation of one."""

import base64
import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.errors import NvrError
from nvr.hal import linux_tpm
from nvr.seal.tpm import TpmLock, opened_line, seal, unseal
from nvr.wire import tpm2
from tests.seal.simulated import SimulatedTpm

SECRET = bytes(range(32))


@pytest.fixture
def chip() -> Iterator[SimulatedTpm]:
    with SimulatedTpm() as made:
        yield made


class Bus:
    """The wires between board and TPM, with somebody at them."""

    def __init__(self, exchange) -> None:
        self._exchange = exchange
        self.seen: list[tuple[bytes, bytes]] = []
        self.alter = lambda _code, answer: answer

    def __call__(self, command: bytes) -> bytes:
        answer = self._exchange(command)
        self.seen.append((command, answer))
        return self.alter(int.from_bytes(command[6:10], "big"), answer)


def code_of(act) -> str:
    with pytest.raises(NvrError) as caught:
        act()
    return caught.value.code


needs_swtpm = pytest.mark.needs("swtpm")


@needs_swtpm
def test_a_secret_is_given_out_by_this_tpm_after_restarts_and_by_no_other(
    chip: SimulatedTpm,
) -> None:
    with linux_tpm.opened(chip.path) as exchange:
        lock = TpmLock.new(exchange, ())
    line = lock.encipher_line("the keys\n")
    assert "the keys" not in line
    for _ in range(2):
        chip.restart()
        with linux_tpm.opened(chip.path) as exchange:
            assert opened_line(exchange, line) == (lock, "the keys\n")
    with SimulatedTpm() as other, linux_tpm.opened(other.path) as exchange:
        assert code_of(lambda: opened_line(exchange, line)) == "tpm.other"
        # Nor if it is told that the storage key is its own.
        forged = seal(exchange, SECRET, ()).parent
        lie = type(lock.sealed)(forged, lock.sealed.public, lock.sealed.private, {})
        assert code_of(lambda: unseal(exchange, lie)) == "tpm.other"
    chip.clear()
    with linux_tpm.opened(chip.path) as exchange:
        assert code_of(lambda: opened_line(exchange, line)) == "tpm.other"


@needs_swtpm
def test_a_secret_bound_to_pcrs_needs_the_start_to_be_as_it_was(chip: SimulatedTpm) -> None:
    def start(loader: bytes) -> None:
        chip.restart()
        for pcr in range(10):
            chip.measure(pcr, b"firmware %d" % pcr)
        chip.measure(4, loader)

    start(b"loader 1")
    with linux_tpm.opened(chip.path) as exchange:
        sealed = seal(exchange, SECRET, range(10))  # more than one reading gives
        assert unseal(exchange, sealed) == SECRET
    start(b"loader 2")
    with linux_tpm.opened(chip.path) as exchange:
        with pytest.raises(NvrError, match="PCR 4 differ") as caught:
            unseal(exchange, sealed)
        assert caught.value.code == "tpm.changed"
        # It is the TPM that refuses, not our look at its PCRs.
        now = seal(exchange, SECRET, range(10)).pcrs
        lie = type(sealed)(sealed.parent, sealed.public, sealed.private, now)
        assert code_of(lambda: unseal(exchange, lie)) == "tpm.changed"
        lie = type(sealed)(sealed.parent, sealed.public, sealed.private, {})
        assert code_of(lambda: unseal(exchange, lie)) == "tpm.changed"
    start(b"loader 1")
    with linux_tpm.opened(chip.path) as exchange:
        assert unseal(exchange, sealed) == SECRET


@needs_swtpm
def test_pcrs_into_which_nothing_is_measured_are_refused(chip: SimulatedTpm) -> None:
    chip.measure(0, b"firmware")
    with linux_tpm.opened(chip.path) as exchange:
        assert code_of(lambda: TpmLock.new(exchange, (0, 7))) == "tpm.unmeasured"
        assert code_of(lambda: TpmLock.new(exchange, (16,))) == "tpm.pcr"
        assert TpmLock.new(exchange, (0,)).sealed.pcrs.keys() == {0}


@needs_swtpm
def test_an_owner_password_and_a_missing_or_silent_tpm_have_their_codes(
    chip: SimulatedTpm, tmp_path
) -> None:
    chip.own(b"mine")
    with linux_tpm.opened(chip.path) as exchange:
        assert code_of(lambda: seal(exchange, SECRET, ())) == "tpm.owned"
    chip.hang()
    with linux_tpm.opened(chip.path, answer_s=0.2) as exchange:
        assert code_of(lambda: seal(exchange, SECRET, ())) == "tpm.failed"
    chip.go_on()
    for path in (tmp_path / "none", chip.path.parent):
        with pytest.raises(NvrError, match=r"tpm\.missing"), linux_tpm.opened(path):
            pass


@needs_swtpm
def test_who_listens_on_the_bus_does_not_hear_the_secret(chip: SimulatedTpm) -> None:
    with linux_tpm.opened(chip.path) as exchange:
        bus = Bus(exchange)
        sealed = seal(bus, SECRET, ())
        assert unseal(bus, sealed) == SECRET
    assert len(bus.seen) > 8
    for command, answer in bus.seen:
        for at in range(len(SECRET) - 8):
            assert SECRET[at : at + 8] not in command + answer


@needs_swtpm
def test_who_changes_what_is_on_the_bus_is_found_out(chip: SimulatedTpm) -> None:
    with linux_tpm.opened(chip.path) as exchange:
        sealed = seal(exchange, SECRET, ())
        bus = Bus(exchange)
        bus.alter = lambda code, answer: (
            answer[:17] + bytes([answer[17] ^ 1]) + answer[18:] if code == tpm2.UNSEAL else answer
        )
        assert code_of(lambda: unseal(bus, sealed)) == "tpm.failed"
        with SimulatedTpm() as theirs, linux_tpm.opened(theirs.path) as other:
            mixed = Bus(other)
            assert code_of(lambda: unseal(mixed, sealed)) == "tpm.other"
        assert unseal(exchange, sealed) == SECRET


@needs_swtpm
def test_an_answer_cut_short_anywhere_is_a_failure_with_a_code(chip: SimulatedTpm) -> None:
    with linux_tpm.opened(chip.path) as exchange:
        sealed = seal(exchange, SECRET, ())
        bus = Bus(exchange)
        unseal(bus, sealed)
        for n, (_, answer) in enumerate(bus.seen):
            for keep in {*range(10, len(answer), 17), len(answer) - 1}:
                short = answer[:2] + keep.to_bytes(4, "big") + answer[6:keep]
                replayed = iter([said for _, said in bus.seen[:n]] + [short] + [b""] * 20)
                assert code_of(lambda said=replayed: unseal(lambda _: next(said), sealed)) == (
                    "tpm.failed"
                )


@needs_swtpm
def test_nothing_is_left_in_the_tpm(chip: SimulatedTpm) -> None:
    """It has room for three objects and three sessions, and no manager here."""
    with linux_tpm.opened(chip.path) as exchange:
        for _ in range(4):
            sealed = seal(exchange, SECRET, ())
            assert unseal(exchange, sealed) == SECRET
            bad = type(sealed)(sealed.parent, sealed.public, bytes(len(sealed.private)), {})
            assert code_of(lambda bad=bad: unseal(exchange, bad)).startswith("tpm.")


@given(st.binary(max_size=80))
def test_no_bytes_make_taking_a_response_apart_fail_otherwise(data: bytes) -> None:
    for framed in (data, b"\x80\x02" + (10 + len(data)).to_bytes(4, "big") + bytes(4) + data):
        with contextlib.suppress(ValueError):
            tpm2.response(framed, 1)


@given(st.binary(max_size=120))
def test_a_line_that_was_changed_is_no_line(data: bytes) -> None:
    line = "tpm 1 " + base64.b64encode(data).decode()
    assert code_of(lambda: opened_line(lambda _: b"", line)) == "key.file"
