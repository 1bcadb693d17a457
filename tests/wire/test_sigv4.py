"""Signatures against the examples that Amazon S3's reference works out.

Source: Amazon S3 API Reference, "Examples: Signature Calculations in AWS Signature Version 4".
"""

import hashlib

import pytest

from nvr.wire.sigv4 import Signer, encoded_path, encoded_query

SIGNER = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
EMPTY = hashlib.sha256().hexdigest()


@pytest.mark.parametrize(
    ("method", "path", "query", "more", "body", "signature"),
    [
        (
            "GET", "/test.txt", {}, {"range": "bytes=0-9"}, b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT", "/test$file.text", {},
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET", "/", {"lifecycle": ""}, {}, b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET", "/", {"prefix": "J", "max-keys": "2"}, {}, b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)  # fmt: skip
def test_the_examples_of_the_reference(
    method: str, path: str, query: dict[str, str], more: dict[str, str], body: bytes, signature: str
) -> None:
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        **more,
    }
    signed = SIGNER.authorization(method, path, query, headers)
    assert signed.startswith(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders="
    )
    assert signed.endswith(f", Signature={signature}")


def test_names_of_any_language_go_over_the_wire() -> None:
    assert encoded_path("/b/东 门+1.mp4") == "/b/%E4%B8%9C%20%E9%97%A8%2B1.mp4"
    assert encoded_query({"b": "x/y z", "a": "~"}) == "a=~&b=x%2Fy%20z"
