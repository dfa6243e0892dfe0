"""Which addresses of the network are public: those that a server may be sent to by a stranger.

The ranges are those of IANA's special-purpose registries (RFC 6890 and its updates), told here in full, for what
Python's `ipaddress` calls global has changed between its versions.
"""

from __future__ import annotations

import ipaddress
from typing import Final

_SPECIAL_4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # of carriers, behind their translators; a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # of Azure: its own agent, seen by each machine there
        "169.254.0.0/16",  # link-local; metadata of most clouds at 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays to IPv6
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# What the internet routes. All else is local or holds an IPv4 address: mapped ::ffff:, NAT64 64:ff9b:, compatible.
_ROUTED_6: Final = ipaddress.IPv6Network("2000::/3")
_SPECIAL_6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments; Teredo, which holds an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Whether it is one of the internet at large. address: in numbers; anything else is not."""
    try:
        found = ipaddress.ip_address(address)  # one with a zone (fe80::1%eth0) keeps it, and is local
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in _SPECIAL_4)
    if found.scope_id is not None or found not in _ROUTED_6:
        return False
    return not any(found in network for network in _SPECIAL_6)
