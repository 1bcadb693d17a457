"""Refusals in the audit log."""

import math
from collections.abc import Callable

from nvr.base.clock import Clock
from nvr.base.errors import Rejected
from nvr.media.ports import Operator

_REFUSED_EVERY_S = 10.0


class Refusals:
    """Audits a refusal, at most once in ten seconds for each operator and reason."""

    def __init__(
        self,
        clock: Clock,
        audit: Callable[[str, Operator, str, str], None],
        camera: str,
        refused: dict[tuple[Operator, str], float],
        who: Operator,
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._camera = camera
        self._refused = refused
        self._who = who

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, err: BaseException | None, _trace: object) -> None:
        if isinstance(err, Rejected):
            now_s = self._clock.monotonic_s()
            key = (self._who, err.code)
            if now_s - self._refused.get(key, -math.inf) >= _REFUSED_EVERY_S:
                self._refused[key] = now_s
                self._audit("ptz.refused", self._who, self._camera, err.code)
