"""The byte stream of H.264 and H.265: NAL units behind start codes.

``00 00 01 NAL``, any number of zero bytes before the start code.

Source: ITU-T H.264 and H.265, annex B.
"""


def split(stream: bytes) -> list[bytes]:
    """Cut a byte stream into NAL units, without start codes; empty ones are left out.

    Only what follows a start code counts; zero bytes before the next one belong to neither.
    """
    nals = []
    at = stream.find(b"\0\0\1")
    while at >= 0:
        start = at + 3
        at = stream.find(b"\0\0\1", start)
        nal = stream[start : at if at >= 0 else len(stream)].rstrip(b"\0")
        if nal:
            nals.append(nal)
    return nals
