"""aiortsp as a reader: takes pictures of an RTSP address, prints how many packets it missed as JSON.

    python aiortsp_reader.py URL PICTURES

Over UDP with ``rtsp://``, TCP with ``rtspt://``, TLS with ``rtsps://``; it knows no tunnel.
"""

import asyncio
import json
import ssl
import sys

from aiortsp.rtsp.reader import RTSPReader


async def main(url, pictures):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    seen = missed = 0
    last = None
    tls = {"ssl": context} if url.startswith("rtsps:") else {}
    async with RTSPReader(url, log_level=50, **tls) as reader:
        async for packet in reader.iter_packets():
            missed += last is not None and packet.seq != (last + 1) & 0xFFFF
            last = packet.seq
            seen += packet.m
            if seen == pictures:
                break
    print(json.dumps({"pictures": seen, "missed": missed}))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
