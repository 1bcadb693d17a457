"""Who may come in: users, machines, their sessions, and the box's first owner."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from nvr.auth.audit import Audit
from nvr.auth.claim import Claim
from nvr.auth.link import Links, link_key
from nvr.auth.machine import Machines
from nvr.auth.password import Hasher
from nvr.auth.session import Sessions
from nvr.auth.state import endpoint, open_state
from nvr.auth.throttle import Throttle
from nvr.auth.user import Users
from nvr.base.clock import Clock


@dataclass(frozen=True, slots=True)
class Doors:
    """Who may come in."""

    users: Users
    machines: Machines
    sessions: Sessions
    throttle: Throttle
    claim: Claim
    audit: Audit
    links: Links
    endpoint: str
    """UUID under which the box is known on networks."""


def open_doors(stack: contextlib.ExitStack, state: Path, audit: Audit, clock: Clock) -> Doors:
    """Open what is known of them in `state`; `stack` closes it."""
    db = open_state(state)
    stack.callback(db.close)
    hasher = Hasher()
    stack.callback(hasher.close)
    users = Users(db, hasher, clock)
    claim = Claim(db, users, clock)
    machines = Machines(db, clock)
    links = Links(link_key(db), users, machines, clock)
    sessions, throttle = Sessions(clock), Throttle(clock)
    return Doors(users, machines, sessions, throttle, claim, audit, links, endpoint(db))
