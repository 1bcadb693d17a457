"""Signatures of webhooks, against the reference verifier and its published example."""

import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from nvr.wire.webhook import headers, secret_of, secret_text

SECRET = b"0123456789abcdef01234567"


def test_the_reference_takes_what_is_signed_and_nothing_else(monkeypatch):
    body = json.dumps({"type": "motion.begin", "title": "大门"}).encode()
    now = 1_800_000_000
    said = headers(SECRET, "msg-1", now, body)
    judge = Webhook(secret_text(SECRET))
    clock = datetime.fromtimestamp(now, UTC)

    class Then:
        @staticmethod
        def now(tz=None):  # noqa: ARG004 - as of the real one
            return clock

        fromtimestamp = clock.fromtimestamp

    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Then)
    assert judge.verify(body, said)["title"] == "大门"
    for wrong in (body[:-1] + b" }", body.replace(b"motion", b"nothin")):
        with pytest.raises(WebhookVerificationError):
            judge.verify(wrong, said)
    for key, value in (("webhook-id", "msg-2"), ("webhook-timestamp", str(now + 1))):
        with pytest.raises(WebhookVerificationError):
            judge.verify(body, {**said, key: value})


def test_a_secret_is_24_to_64_bytes_in_base64():
    assert secret_of(secret_text(SECRET)) == SECRET
    assert secret_of(base64.b64encode(SECRET).decode()) == SECRET
    for wrong in ("", "whsec_", "whsec_!!!!", base64.b64encode(b"short").decode(),
                  base64.b64encode(bytes(65)).decode()):  # fmt: skip
        with pytest.raises(ValueError, match="it "):
            secret_of(wrong)
    assert "webhook-signature" not in headers(b"", "a", 1, b"{}")
