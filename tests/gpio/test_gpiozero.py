"""The Raspberry Pi's back end on gpiozero's own mock."""

import pytest
from gpiozero.pins.mock import MockFactory

from nvr.base.clock import FakeClock
from nvr.base.errors import Unavailable
from nvr.gpio.output import Outputs, Wiring
from nvr.hal import board
from nvr.hal.gpiozero_output import GpiozeroOutput, pi_factory
from nvr.hal.ports import Claim
from tests.ptz.line import PaperGuard


def levels(factory: MockFactory, pin: int) -> list[bool]:
    return [one.state for one in factory.pin(f"GPIO{pin}").states]


def test_it_is_driven_safe_switched_and_cut() -> None:
    factory = MockFactory()
    clock = FakeClock()

    def opened(level: bool) -> GpiozeroOutput:
        return GpiozeroOutput(17, level=level, factory=lambda: factory)

    outputs = Outputs([Wiring("relay", opened, max_on_s=2)], clock=clock, guard=PaperGuard())
    outputs.turn(clock.now_s)
    assert factory.pin("GPIO17").function == "output"
    assert levels(factory, 17) == [False]
    outputs.set("relay", True)
    for _ in range(25):
        outputs.turn(clock.now_s)
        clock.advance(0.1)
    assert levels(factory, 17) == [False, True, False]


def test_closing_leaves_the_pin_as_it_is() -> None:
    factory = MockFactory()
    output = GpiozeroOutput(4, level=True, factory=lambda: factory)
    output.close()
    assert factory.pin("GPIO4").function == "output"
    assert levels(factory, 4)[-1] is True
    assert output.get()


def test_where_the_descriptor_is_hidden_the_guard_is_told_the_chip() -> None:
    factory = MockFactory()
    assert GpiozeroOutput(5, level=False, factory=lambda: factory).way() is None
    factory.chip = 4
    output = GpiozeroOutput(6, level=False, factory=lambda: factory)
    assert output.way() == Claim("/dev/gpiochip4", 6)


def test_what_gpiozero_raises_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    factory = MockFactory()
    with pytest.raises(Unavailable, match="GPIO99"):
        GpiozeroOutput(99, level=False, factory=lambda: factory)
    output = GpiozeroOutput(7, level=False, factory=lambda: factory)
    factory.pin("GPIO7").function = "input"
    with pytest.raises(Unavailable, check=lambda err: err.code == "gpio.gone"):
        output.set(True)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    with pytest.raises(Unavailable):  # this is no Raspberry Pi, or has no lgpio
        GpiozeroOutput(7, level=False, factory=pi_factory())


def test_the_mock_can_be_chosen_as_gpiozero_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    factory = pi_factory()
    assert factory() is factory()
    assert isinstance(factory(), MockFactory)


def test_an_active_low_relay_is_refused() -> None:
    text = """
    schema = 1
    id = "x"
    title = "x"
    [gpio.relay]
    driver = "gpiozero"
    line = 17
    active_low = true
    """
    assert [fault.path for fault in board.check(text)] == ["$.gpio.relay.driver"]
