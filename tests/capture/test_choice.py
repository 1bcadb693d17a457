"""What is remembered of how a camera's packets come."""

from nvr.capture.choice import Memory, deliveries
from nvr.media.transport import Carried


def test_tcp_is_first_and_what_worked_is_remembered():
    memory = Memory()
    assert memory.ways("auto", secure=False) == ("tcp", "udp", "multicast", "http")
    assert memory.carried("udp", ("tcp",), "auto") == Carried("udp", "tcp", "refused")
    memory.worked("udp", secure=False)
    assert memory.ways("auto", secure=False)[0] == "udp"
    assert memory.carried("udp", (), "auto") == Carried("udp", "tcp", "refused")
    assert memory.ways("tcp", secure=False) == ("tcp",)
    assert memory.carried("tcp", (), "tcp") == Carried("tcp")


def test_one_bad_connection_is_not_enough_to_give_up_what_worked():
    memory = Memory()
    memory.worked("tcp", secure=False)
    for _ in range(2):
        memory.failed("tcp", "silent", secure=False)
        assert memory.ways("auto", secure=False)[0] == "tcp"
    memory.failed("tcp", "silent", secure=False)
    assert memory.ways("auto", secure=False)[0] == "udp"
    assert memory.carried("udp", (), "auto") == Carried("udp", "tcp", "silent")


def test_all_ways_are_gone_through_and_then_again():
    memory, seen = Memory(), []
    for _ in range(5):
        way = memory.ways("auto", secure=False)[0]
        seen.append(way)
        memory.failed(way, "silent", secure=False)
    assert seen == ["tcp", "udp", "multicast", "http", "tcp"]


def test_a_closed_port_and_a_refusal_of_all_lead_to_the_tunnel():
    for why in ("refused", "unreachable"):
        memory = Memory()
        memory.failed("tcp", why, secure=False, sure=True)
        assert memory.ways("auto", secure=False) == ("http",)
        assert memory.carried("http", (), "auto") == Carried("http", "tcp", why)
        memory.failed("http", "unreachable", secure=False, sure=True)
        assert memory.ways("auto", secure=False)[0] == "tcp"


def test_what_is_secure_stays_in_tls():
    memory = Memory()
    assert memory.ways("auto", secure=True) == ("tcp", "http")
    memory.failed("tcp", "silent", secure=True)
    assert memory.ways("auto", secure=True) == ("http",)
    assert deliveries(("http",)) == ("tcp",)
    assert deliveries(("tcp", "udp", "http")) == ("tcp", "udp")


def test_a_server_that_hangs_up_at_everything_does_not_do_it_for_that():
    memory = Memory()
    memory.hung_up("GET_PARAMETER")
    assert memory.unborne == {"GET_PARAMETER"}
    memory.hung_up("OPTIONS")
    assert memory.unborne == set()
