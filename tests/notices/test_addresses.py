"""A webhook reaches nothing inside a private network, by whatever spelling or trick of names."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from matinee.errors import InputError
from matinee.notices.subscriptions import NotSentError
from matinee.notices.webhook import Target, check_url, is_public, resolve_host
from matinee.project.sections import Notices


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.170.2", "100.64.0.1",
        "0.0.0.0", "255.255.255.255", "224.0.0.1", "::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "192.0.0.1", "198.18.0.1",
        # translated, whatever they lead to; and site-local
        "::ffff:1.1.1.1", "64:ff9b::101:101", "64:ff9b:1::101:101", "2002:101:101::", "2001:0:101:101::", "::1.1.1.1",
        "::ffff:0:101:101", "fec0::1", "feff::1",
    ],
)  # fmt: skip
def test_private_addresses_are_known(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:82a::200e"])
def test_public_addresses_are_known(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "ftp://example.com/", "http://example.com/", "https://", "https://me:pw@example.com/",
        "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest", "https://example.com:99999/",
        "https://exa mple.com/", "https://example.com/a b", "https://example.com/\r\nx", "file:///etc/passwd",
        "https://example.com/" + "x" * 2000, "https://example.com:22/", "https://example.com:8443/", "https://[fec0::1]/",
        "https://[64:ff9b::101:101]/", "https://[::ffff:1.1.1.1]/",
    ],
)  # fmt: skip
def test_urls_that_are_refused(url):
    with pytest.raises(InputError):
        check_url(url, Notices())


def test_a_url_is_taken_apart():
    target = check_url("https://hooks.example.com/a/b?c=d", Notices())
    assert target == Target(is_https=True, host="hooks.example.com", port=443, path="/a/b?c=d")
    inside = Notices(private_addresses=True, webhook_ports=(8080,))
    assert check_url("http://127.0.0.1:8080", inside) == Target(False, "127.0.0.1", 8080, "/")


@pytest.mark.parametrize("spelling", ["localhost", "127.1", "2130706433", "0x7f.1"])
def test_a_name_that_leads_inside_is_refused_for_good(spelling):
    with pytest.raises(NotSentError) as caught:
        resolve_host(Target(True, spelling, 443, "/"), allow_private=False)
    assert caught.value.is_final


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(NotSentError):
        resolve_host(Target(True, "mixed.example.com", 443, "/"), allow_private=False)


def test_the_connection_goes_to_the_address_that_was_judged(monkeypatch, receiver, client_of, run, finish, store):
    """A name server that answers differently the second time is not asked a second time."""
    from matinee.client import notices
    from matinee.notices.deliver import deliver, open_senders

    port = int(receiver.url.rpartition(":")[2].partition("/")[0])
    asked = []

    def getaddrinfo(host, *rest, **more):
        if host == "hooks.example.com":
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return real(host, *rest, **more)

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    notices.tell(client_of(), run.id, webhook=f"http://hooks.example.com:{port}/in")
    finish(run)
    deliver(store, 1_780_000_100.0, open_senders(store.release(), store, {}))
    assert len(asked) == 1
    assert receiver.calls[0][0]["host"] == f"hooks.example.com:{port}"
