"""Cameras of the odd kind that answer WS-Discovery on one interface: ``discovery_device.py DEV``.

Prints ``ready`` when it listens. One answers only a probe for tds:Device, one only one for
dn:NetworkVideoTransmitter, one only over IPv6, one only the second time; and all that somebody
could send in their stead is sent as well.
"""

import os
import re
import select
import socket
import struct
import sys

ANSWER = """<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><e:Header><a:RelatesTo>%s</a:RelatesTo>
</e:Header><e:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:%s
</a:Address></a:EndpointReference><d:Types>x</d:Types><d:Scopes>onvif://www.onvif.org/name/%s
</d:Scopes><d:XAddrs>%s</d:XAddrs></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"""
index = socket.if_nametoindex(sys.argv[1])
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
four.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
# ipycam has the port as well, on the other interface
four.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
four.bind(("", 3702))
group = struct.pack("@4s4si", socket.inet_aton("239.255.255.250"), b"\0\0\0\0", index)
four.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
six.bind(("::", 3702))
six.setsockopt(
    socket.IPPROTO_IPV6,
    socket.IPV6_JOIN_GROUP,
    socket.inet_pton(socket.AF_INET6, "ff02::c") + struct.pack("@I", index),
)
heard = {}
print("ready", flush=True)
while True:
    for sock in select.select([four, six], [], [])[0]:
        data, source = sock.recvfrom(65536)
        text = data.decode()
        asked = re.search(r"MessageID>([^<]+)<", text).group(1)
        heard[sock, asked] = heard.get((sock, asked), 0) + 1

        def say(name, url, relates=asked):
            sock.sendto((ANSWER % (relates, name.replace(" ", "-"), name.replace(" ", "%20"), url)).encode(), source)

        if sock is six:
            say("six", "http://[fe80::99]/onvif/device_service")
            say("device only", "http://[fe80::99]:8899/onvif/device_service")
            continue
        if "tds:Device" in text:
            say("device only", "http://192.168.1.64:8899/onvif/device_service")
        else:
            say("transmitter only", "http://10.9.1.2/onvif/device_service https://10.9.1.2/x")
        if heard[sock, asked] == 2:
            say("hard of hearing", "http://10.9.1.2:8000/onvif/device_service")
        say("somebody else's", "http://10.9.1.2/", relates="urn:uuid:another")
        sock.sendto(os.urandom(1000), source)
        sock.sendto(b"<!DOCTYPE r [<!ENTITY a 'b'>]><r>&a;</r>", source)
        sock.sendto(b"<a>" * 20_000, source)
