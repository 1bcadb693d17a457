"""The recorder that is running, asked over its own page: what the console may not do beside it."""

import http.client
import json
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.cli import ask
from nvr.config.model import Config
from nvr.web.tls import certificate_der

_TIMEOUT_S = 30.0


class Box:
    """A session with the recorder of a data directory, for an account of the page.

    Its certificate must be the one in the data directory: whoever else listens on the port is told
    no password.

    Args:
        data: Data directory.
        config: Its configuration.
        user: Account; asked for if None and there is a terminal.

    Raises:
        Unavailable: ``box.unreachable``.
        NvrError: What the box answers to a log-in.
    """

    def __init__(self, data: Path, config: Config, user: str | None) -> None:
        host, port = config.page.host, config.page.port
        self._host = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared
        name = f"[{self._host}]" if ":" in self._host else self._host
        self._origin = f"https://{name}:{port}"
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # compared below, byte by byte
        self._connection = http.client.HTTPSConnection(
            self._host, port, timeout=_TIMEOUT_S, context=context
        )
        self._cookie = ""
        try:
            self._connection.connect()
            shown = self._connection.sock.getpeercert(binary_form=True)
            own = certificate_der(data)
        except (OSError, ValueError) as err:
            raise self._unreachable(str(err)) from err
        if shown != own:
            raise self._unreachable("another program listens there")
        if user is None:
            user = ask.line("account of the page: ")
        password = ask.secret(f"password of {user}: ")
        self.ask("POST", "/api/login", {"name": user, "password": password})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if self._cookie:
                self.ask("POST", "/api/logout", {})
        except NvrError:
            if err is None:
                raise
        finally:
            self._connection.close()

    def ask(self, method: str, path: str, body: object = None) -> object:
        """Ask, and return the answer.

        Raises:
            Unavailable: ``box.unreachable``.
            Rejected: What the box refuses with, under the box's own code.
        """
        headers = {"X-NVR": "1", "Origin": self._origin, "Content-Type": "application/json"}
        if self._cookie:
            headers["Cookie"] = self._cookie
        sent = None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, path, sent, headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as err:
            raise self._unreachable(str(err)) from err
        cookie = response.headers.get("Set-Cookie", "").partition(";")[0]
        if cookie:
            self._cookie = cookie
        told = json.loads(text) if text else None
        if response.status >= 400:
            raise _refusal(told, response.status)
        return told

    def _unreachable(self, why: str) -> Unavailable:
        return Unavailable(
            "box.unreachable", f"the recorder runs and its page does not answer: {why}",
            page=self._origin,
        )  # fmt: skip


def _refusal(told: object, status: int) -> NvrError:
    if not isinstance(told, dict) or "code" not in told:
        return Unavailable("box.unreachable", f"the recorder answered {status}")
    return Rejected(told["code"], told.get("detail", ""), **(told.get("context") or {}))
