"""Which way calls leave: directly or through a proxy, and by whose word another side is believed to be itself.

All clients of outside systems, Slack's too, are given one ``Network`` and ask it for each address. Nothing here reads
the environment: ``settings.py`` does.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

DIRECTLY = "direct"
_PORTS = {"http": 80, "https": 443}


class NetworkUnusable(ValueError):
    """A proxy or a file of certificates cannot be used as it is set. The message names the setting, no secrets."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A forwarding proxy (HTTP, CONNECT for https), spoken to in plain or by TLS."""

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def read(cls, text: str, name: str) -> Proxy:
        """``http://user:password@proxy:3128``; without a scheme it is http. Raises NetworkUnusable for ``name``."""
        url = urlsplit(text if "://" in text else f"http://{text}")
        try:
            port = url.port
        except ValueError:
            port = 0
        if url.scheme not in _PORTS or not url.hostname or port == 0 or url.path.strip("/") or url.query:
            raise NetworkUnusable(
                f"{name} is no proxy that can be used: write http://host:port or https://host:port, with "
                "user:password@ before the host where it asks for them (other kinds, such as socks5, are not spoken)"
            )
        user, password = unquote(url.username or ""), unquote(url.password or "")
        return cls(url.scheme, url.hostname, port or _PORTS[url.scheme], user, password)

    @property
    def address(self) -> str:
        """Without user and password: for people, and for connecting."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def url(self) -> str:
        """With user and password."""
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.secrets else ""
        return self.address.replace("://", f"://{who}", 1)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand nowhere: the password (or a user without one), and the header that carries it."""
        if not self.user and not self.password:
            return ()
        return self.password or self.user, base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def __str__(self) -> str:
        return f"through proxy {self.address}"


@dataclass(frozen=True, slots=True)
class Network:
    """The way out of this installation."""

    http: Proxy | None = None  # for addresses that begin with http://
    https: Proxy | None = None
    no_proxy: str = ""  # hosts that are called directly, as in NO_PROXY
    ca_file: Path | None = None  # certificates of authorities that are believed beside the usual ones
    usual_ca_file: Path | None = None  # instead of the usual ones, as in SSL_CERT_FILE
    usual_ca_folder: Path | None = None  # as in SSL_CERT_DIR

    def proxy_for(self, address: str) -> Proxy | None:
        """The proxy through which an address is called; None where it is called directly."""
        if self.http is None and self.https is None:
            return None
        url = urlsplit(address)
        proxy = self.https if url.scheme == "https" else self.http
        if proxy is None:
            return None
        host, port = url.hostname or "", url.port or _PORTS.get(url.scheme, 0)
        entries = re.split(r"[,\s]+", self.no_proxy.lower())
        return None if any(_is_meant(entry, url.scheme, host, port) for entry in entries if entry) else proxy

    def way_to(self, address: str) -> str:
        """In words, without secrets: ``direct``, or ``through proxy http://proxy:3128``."""
        proxy = self.proxy_for(address)
        return DIRECTLY if proxy is None else str(proxy)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand nowhere."""
        return tuple(secret for proxy in (self.http, self.https) if proxy for secret in proxy.secrets)


DIRECT = Network()


def _is_meant(entry: str, scheme: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY, as httpx and requests know them, means this host.

    ``*`` is every host; ``example.be`` that host and its subdomains, ``.example.be`` and ``*.example.be`` the
    subdomains; an address or a network (``10.0.0.0/8``) the hosts that are written as addresses in it. A port or a
    scheme narrows it.
    """
    if entry == "*":
        return True
    only_scheme, _, entry = entry.rpartition("://")
    if only_scheme and only_scheme not in (scheme, "all"):
        return False
    if _holds(entry.strip("[]"), host):
        return True
    name, _, only_port = entry.rpartition(":")
    if name and only_port.isdigit():
        if int(only_port) != port:
            return False
        entry = name.strip("[]")
    if _holds(entry, host):
        return True
    if entry.startswith((".", "*.")):
        return host.endswith(entry.removeprefix("*"))
    return host == entry or host.endswith(f".{entry}")


def _holds(network: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
