"""SIP transactions: repeated at the right times, answered once, forgotten in the end."""

from nvr.wire.sip import Request, Response, parse, reply
from nvr.wire.sip_transaction import (
    GIVEN_UP_S,
    MOST_ANSWERED,
    MOST_SENT,
    Acknowledged,
    Answered,
    Asked,
    Transactions,
    Unacknowledged,
)

PEER = ("192.0.2.1", 5060)


def _request(method: str = "MESSAGE", branch: str = "z9hG4bK1", call: str = "c1") -> Request:
    return Request(
        (
            ("Via", f"SIP/2.0/UDP 192.0.2.1:5060;branch={branch}"),
            ("From", "<sip:a@b>;tag=f"),
            ("To", "<sip:c@d>"),
            ("Call-ID", call),
            ("CSeq", f"1 {method}"),
        ),
        b"",
        method,
        "sip:c@d",
    )


def _sent_times(transactions: Transactions, until_s: float) -> list[float]:
    times = [0.0] * len(transactions.to_send(0.0))
    while (at := transactions.wake_at()) is not None and at <= until_s:
        times += [at] * len(transactions.to_send(at))
    return times


def test_a_request_is_repeated_and_then_given_up() -> None:
    transactions = Transactions(reliable=False)
    branch = transactions.send(_request(), PEER, 0.0)
    assert _sent_times(transactions, 100.0) == [
        0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5,
    ]  # fmt: skip
    assert transactions.next_event() == Answered(branch, None)
    assert len(transactions) == 0


def test_over_a_stream_nothing_is_repeated() -> None:
    transactions = Transactions(reliable=True)
    transactions.send(_request(), PEER, 0.0)
    assert _sent_times(transactions, 100.0) == [0.0]


def test_the_answer_ends_it_and_comes_once() -> None:
    transactions = Transactions(reliable=False)
    request = _request()
    branch = transactions.send(request, PEER, 0.0)
    transactions.receive(reply(request, 100, "Trying"), PEER, 0.1)
    assert transactions.next_event() is None
    answer = reply(request, 200, "OK", tag="t")
    transactions.receive(answer, PEER, 0.2)
    transactions.receive(answer, PEER, 0.3)
    assert transactions.next_event() == Answered(branch, answer)
    assert transactions.next_event() is None
    assert transactions.wake_at() is None


def test_an_answer_to_nothing_is_ignored() -> None:
    transactions = Transactions(reliable=False)
    transactions.receive(reply(_request(), 200, "OK"), PEER, 0.0)
    transactions.receive(Response((), b"", 200, "OK"), PEER, 0.0)
    assert transactions.next_event() is None


def test_what_comes_twice_is_seen_once_and_answered_twice() -> None:
    transactions = Transactions(reliable=False)
    transactions.receive(_request(), PEER, 0.0)
    transactions.receive(_request(), PEER, 0.1)  # not answered yet: nothing to say
    asked = transactions.next_event()
    assert isinstance(asked, Asked)
    assert transactions.next_event() is None
    transactions.answer(asked.key, reply(asked.request, 200, "OK", tag="t"), 0.2)
    transactions.receive(_request(), PEER, 0.3)
    out = transactions.to_send(0.3)
    assert len(out) == 2
    assert out[0] == out[1]
    assert transactions.next_event() is None
    transactions.to_send(0.2 + GIVEN_UP_S)
    assert len(transactions) == 0


def test_a_grant_is_repeated_until_its_ack() -> None:
    transactions = Transactions(reliable=True)
    transactions.receive(_request("INVITE"), PEER, 0.0)
    asked = transactions.next_event()
    assert isinstance(asked, Asked)
    transactions.answer(asked.key, reply(asked.request, 200, "OK", tag="t"), 0.0)
    assert _sent_times(transactions, 2.0) == [0.0, 0.5, 1.5]
    transactions.receive(_request("ACK", "z9hG4bK2"), PEER, 2.0)
    assert transactions.next_event() == Acknowledged("c1")
    transactions.receive(_request("ACK", "z9hG4bK2"), PEER, 2.1)
    assert transactions.next_event() is None
    assert _sent_times(transactions, 100.0) == []
    assert len(transactions) == 0
    assert transactions.next_event() is None


def test_an_ack_of_somebody_else_does_not_count() -> None:
    transactions = Transactions(reliable=False)
    transactions.receive(_request("INVITE"), PEER, 0.0)
    asked = transactions.next_event()
    assert isinstance(asked, Asked)
    transactions.answer(asked.key, reply(asked.request, 200, "OK", tag="t"), 0.0)
    transactions.receive(_request("ACK", "z9hG4bK2", call="other"), PEER, 0.1)
    assert transactions.next_event() is None
    _sent_times(transactions, 100.0)
    assert transactions.next_event() == Unacknowledged("c1")


def test_a_refusal_over_datagrams_is_repeated_until_its_ack() -> None:
    transactions = Transactions(reliable=False)
    transactions.receive(_request("INVITE"), PEER, 0.0)
    asked = transactions.next_event()
    assert isinstance(asked, Asked)
    transactions.answer(asked.key, reply(asked.request, 488, "No", tag="t"), 0.0)
    assert _sent_times(transactions, 1.0) == [0.0, 0.5]
    transactions.receive(_request("ACK"), PEER, 1.0)
    assert transactions.next_event() is None
    assert _sent_times(transactions, 31.0) == []


def test_a_cancel_finds_its_invite() -> None:
    transactions = Transactions(reliable=False)
    transactions.receive(_request("INVITE"), PEER, 0.0)
    found = transactions.find_invite(_request("CANCEL"))
    assert found is not None
    assert found.request.method == "INVITE"
    assert transactions.find_invite(_request("CANCEL", "z9hG4bK9")) is None


def test_one_without_the_magic_branch_is_told_apart_all_the_same() -> None:
    transactions = Transactions(reliable=False)
    transactions.receive(_request(branch="1", call="a"), PEER, 0.0)
    transactions.receive(_request(branch="1", call="b"), PEER, 0.0)
    transactions.receive(_request(branch="1", call="a"), PEER, 0.0)
    assert isinstance(transactions.next_event(), Asked)
    assert isinstance(transactions.next_event(), Asked)
    assert transactions.next_event() is None


def test_a_flood_has_an_end() -> None:
    transactions = Transactions(reliable=False)
    for n in range(MOST_ANSWERED + 10):
        transactions.receive(_request(branch=f"z9hG4bK{n}"), PEER, 0.0)
    assert len(transactions) == MOST_ANSWERED
    out = transactions.to_send(0.0)
    assert len(out) == 10
    assert all(data.startswith(b"SIP/2.0 503 ") for data, _ in out)
    for n in range(MOST_SENT):
        transactions.send(_request(branch=f"z9hG4bK{n}"), PEER, 0.0)
    try:
        transactions.send(_request(), PEER, 0.0)
    except OverflowError:
        return
    raise AssertionError("there is no end")


def test_answered_ones_make_room_for_new_ones() -> None:
    transactions = Transactions(reliable=False)
    for n in range(MOST_ANSWERED + 10):
        transactions.receive(_request(branch=f"z9hG4bK{n}"), PEER, 0.0)
        asked = transactions.next_event()
        assert isinstance(asked, Asked)
        transactions.answer(asked.key, reply(asked.request, 200, "OK"), 0.0)
    assert len(transactions) == MOST_ANSWERED


def test_an_invite_of_ours_is_repeated_until_somebody_heard_it() -> None:
    transactions = Transactions(reliable=False)
    request = _request("INVITE")
    branch = transactions.send(request, PEER, 0.0)
    assert _sent_times(transactions, 1.0) == [0.0, 0.5]
    transactions.receive(reply(request, 100, "Trying"), PEER, 1.0)
    assert _sent_times(transactions, GIVEN_UP_S - 1) == []
    granted = reply(request, 200, "OK", tag="t")
    transactions.receive(granted, PEER, 20.0)
    assert transactions.next_event() == Answered(branch, granted)
    assert transactions.to_send(20.0) == [], "who asked acknowledges"
    ack = _request("ACK", "z9hG4bKack")
    transactions.acknowledge(branch, ack, PEER, 20.1)
    assert transactions.to_send(20.1) == [(ack.encode(), PEER)]
    transactions.receive(granted, PEER, 21.0)  # it was lost
    assert transactions.to_send(21.0) == [(ack.encode(), PEER)]
    assert transactions.next_event() is None
    assert _sent_times(transactions, 100.0) == []
    assert len(transactions) == 0


def test_a_refusal_of_an_invite_of_ours_is_acknowledged_each_time() -> None:
    transactions = Transactions(reliable=False)
    request = _request("INVITE")
    branch = transactions.send(request, PEER, 0.0)
    transactions.to_send(0.0)
    refusal = reply(request, 486, "Busy Here", tag="t")
    for at in (0.1, 0.6):
        transactions.receive(refusal, PEER, at)
        ((data, _),) = transactions.to_send(at)
        ack = parse(data)
        assert isinstance(ack, Request)
        assert (ack.method, ack.uri, ack.cseq) == ("ACK", request.uri, (1, "ACK"))
        assert ack.via == request.via, "it is of the same transaction"
        assert ack.get("To").endswith(";tag=t")
    assert transactions.next_event() == Answered(branch, refusal)
    assert transactions.next_event() is None
