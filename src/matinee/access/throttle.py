"""How often one may guess: after a few failures each further one costs a growing wait, per address and in all.

In memory: a restart forgets, which costs a guesser more than it gives. An attempt counts as failed from its start and
is taken back when it was right, so that a thousand guesses at once count as a thousand.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE = 4  # failures without a wait: people mistype
LONGEST_S = 300.0  # for one address
FREE_IN_ALL = 40
LONGEST_IN_ALL_S = 8.0  # short: many guessers must not shut everybody out
FORGET_S = 900.0  # after so much quiet, failures are forgotten
KEPT = 10_000  # addresses remembered


@dataclass
class _Failures:
    count: int = 0
    last_at: float = 0.0


class Throttle:
    """Counts failures of this process. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_address: OrderedDict[str, _Failures] = OrderedDict()
        self._in_all = _Failures()

    def begin(self, address: str) -> float:
        """Return 0 and count an attempt, or the seconds to wait before the next one is looked at."""
        with self._lock:
            now = self._clock()
            own = self._failures(_network(address), now)
            _forget(self._in_all, now)
            wait_s = max(_wait_s(own, now, FREE, LONGEST_S), _wait_s(self._in_all, now, FREE_IN_ALL, LONGEST_IN_ALL_S))
            if wait_s <= 0:
                for failures in (own, self._in_all):
                    failures.count += 1
                    failures.last_at = now
            return max(0.0, wait_s)

    def right(self, address: str) -> None:
        """Take the attempt back: it was right. Former failures stay, or who has one password could guess another's."""
        with self._lock:
            for failures in (self._by_address.get(_network(address), _Failures()), self._in_all):
                failures.count = max(0, failures.count - 1)

    def _failures(self, network: str, now: float) -> _Failures:
        own = self._by_address.setdefault(network, _Failures())
        self._by_address.move_to_end(network)
        while len(self._by_address) > KEPT:
            self._by_address.popitem(last=False)
        _forget(own, now)
        return own


def _forget(failures: _Failures, now: float) -> None:
    if now - failures.last_at > FORGET_S:
        failures.count = 0


def _wait_s(failures: _Failures, now: float, free: int, longest_s: float) -> float:
    if failures.count < free:
        return 0.0
    delay_s = min(longest_s, 2.0 ** min(30, failures.count - free))
    return failures.last_at + delay_s - now


def _network(address: str) -> str:
    """Return what one guesser has: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
