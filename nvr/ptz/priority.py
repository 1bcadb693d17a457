"""Who ranks above whom."""

from dataclasses import dataclass

from nvr.media.ports import Operator

LOWEST, HIGHEST = 0, 100


@dataclass(frozen=True, slots=True)
class Ranks:
    """Priorities, 0-100, by who acts. Equal ones take a head from each other only while it rests.

    Attributes:
        guard: The return to the guard position, tours, patterns and scans that somebody began.
        schedule: What the week has run.
        machine: An upstream host, and whatever has no place of its own here.
        alarm: A call-up that names no priority of its own.
        operator: A person on a page.
        local: A stick or a keyboard at the box.
        admin: An administrator on a page.
    """

    guard: int = 0
    schedule: int = 5
    machine: int = 10
    alarm: int = 15
    operator: int = 20
    local: int = 25
    admin: int = 30

    def of(self, who: Operator) -> int:
        """Return the priority of an operator."""
        if who.priority is not None:
            return min(max(who.priority, LOWEST), HIGHEST)
        return {
            "tour": self.guard,
            "guard": self.guard,
            "schedule": self.schedule,
            "alarm": self.alarm,
            "operator": self.operator,
            "local": self.local,
            "joystick": self.local,
            "keyboard": self.local,
            "admin": self.admin,
        }.get(who.role, self.machine)
