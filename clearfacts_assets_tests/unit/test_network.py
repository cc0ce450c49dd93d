"""By which way an address is called, as the settings and the usual variables have it; and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from clearfacts_assets.outgoing.client import believed
from clearfacts_assets.outgoing.network import DIRECT, Network, NetworkUnusable, Proxy
from clearfacts_assets.settings import Settings

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")
PROXY = Proxy("http", "proxy.test", 3128)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def way_out(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Network:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings().way_out


def test_without_a_proxy_every_call_goes_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert way_out(monkeypatch) == DIRECT
    assert DIRECT.way_to("https://api.clearfacts.be/graphql") == "direct"


@pytest.mark.parametrize("capital", [True, False])
def test_the_usual_variables_say_the_way_by_the_addresss_scheme(monkeypatch: pytest.MonkeyPatch, capital: bool) -> None:
    given = {"http_proxy": "http://plain.test:3128", "https_proxy": "secure.test:8080", "no_proxy": "erp.test"}
    network = way_out(monkeypatch, **{name.upper() if capital else name: value for name, value in given.items()})
    assert network.way_to("http://slack.test/api") == "through proxy http://plain.test:3128"
    assert network.way_to("https://slack.test/api") == "through proxy http://secure.test:8080"
    assert network.way_to("https://erp.test/") == "direct"


def test_small_letters_win_and_all_proxy_is_for_what_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"https_proxy": "small.test:1", "HTTPS_PROXY": "capital.test:2", "ALL_PROXY": "all.test:3"}
    network = way_out(monkeypatch, **given)
    assert network.way_to("https://a.test") == "through proxy http://small.test:1"
    assert network.way_to("http://a.test") == "through proxy http://all.test:3"


def test_the_settings_come_before_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"HTTPS_PROXY": "http://other.test:1", "NO_PROXY": "*"}
    set_here = {"CLEARFACTS_NETWORK__PROXY": "https://proxy.test", "CLEARFACTS_NETWORK__NO_PROXY": "10.0.0.0/8"}
    network = way_out(monkeypatch, **variables, **set_here)
    assert network.way_to("https://a.test") == network.way_to("http://a.test") == "through proxy https://proxy.test:443"
    assert network.way_to("http://10.1.2.3:8080") == "direct"


def test_direct_means_direct_whatever_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    network = way_out(monkeypatch, HTTPS_PROXY="http://other.test:1", CLEARFACTS_NETWORK__PROXY="direct")
    assert network.way_to("https://a.test") == "direct"


@pytest.mark.parametrize(
    ("no_proxy", "direct", "through"),
    [
        ("erp.test", ["https://erp.test", "https://ERP.test:8443", "http://x.erp.test"], ["https://myerp.test"]),
        (".erp.test", ["https://x.erp.test", "https://x.y.erp.test"], ["https://erp.test"]),
        ("*.erp.test", ["https://x.erp.test"], ["https://erp.test", "https://xerp.test"]),
        ("erp.test:8443", ["https://erp.test:8443", "https://x.erp.test:8443"], ["https://erp.test"]),
        ("erp.test:443", ["https://erp.test"], ["http://erp.test"]),
        ("https://erp.test", ["https://erp.test"], ["http://erp.test"]),
        ("all://erp.test", ["https://erp.test", "http://erp.test"], []),
        ("localhost, 127.0.0.1", ["http://localhost:3000", "http://127.0.0.1:1"], ["http://127.0.0.2"]),
        (
            "10.0.0.0/8 192.168.7.1/24",
            ["http://10.255.0.1", "https://192.168.7.9"],
            ["http://11.0.0.1", "http://a.test"],
        ),
        ("10.0.0.1:8080", ["http://10.0.0.1:8080"], ["http://10.0.0.1"]),
        ("::1,fd00::/8", ["http://[::1]:8080", "http://[fd00::1]"], ["http://[fe80::1]"]),
        ("[::1]:8080", ["http://[::1]:8080"], ["http://[::1]:8081"]),
        ("*", ["https://a.test", "http://10.0.0.1"], []),
        ("a.test,*", ["https://b.test"], []),
        (" , ,", [], ["https://a.test"]),
        ("10.0.0.0/99,:80,[", [], ["http://10.0.0.1", "http://a.test"]),
    ],
)
def test_no_proxy_names_what_is_called_directly(no_proxy: str, direct: list[str], through: list[str]) -> None:
    network = Network(PROXY, PROXY, no_proxy)
    assert [address for address in direct if network.proxy_for(address) is not None] == []
    assert [address for address in through if network.proxy_for(address) is None] == []


@pytest.mark.parametrize(
    "text", ["socks5://proxy.test:1080", "http://", "http://proxy.test:port", "http://proxy.test:0", "proxy.test/path"]
)
def test_what_is_no_proxy_is_refused_by_the_name_of_its_setting_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    secret = text.replace("proxy.test", "user:canary@proxy.test")
    monkeypatch.setenv("HTTPS_PROXY", secret)
    with pytest.raises(NetworkUnusable, match="HTTPS_PROXY") as variable:
        _ = Settings().way_out
    monkeypatch.setenv("CLEARFACTS_NETWORK__PROXY", secret)
    with pytest.raises(ValidationError, match=r"network\.proxy") as setting:
        Settings()
    assert "canary" not in str(variable.value) + str(setting.value)


def test_user_and_password_are_read_and_told_to_nobody() -> None:
    proxy = Proxy.read("http://us%40er:can%2Fary@[fd00::1]:3128/", "network.proxy")
    assert (proxy.user, proxy.password, proxy.address) == ("us@er", "can/ary", "http://[fd00::1]:3128")
    assert "ary" not in repr(proxy) + str(proxy) + repr(Network(proxy, proxy))
    assert Network(proxy).secrets == ("can/ary", "dXNAZXI6Y2FuL2FyeQ==")
    assert "canary" not in repr(Settings(network={"proxy": "http://user:canary@proxy.test"}))  # type: ignore[arg-type]


def test_certificates_that_cannot_be_read_are_named_with_their_setting(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for file, told in ((tmp_path / "missing.pem", "No such file"), (empty, "no certificate")):
        for network, name in ((Network(ca_file=file), "network.ca_file"), (Network(usual_ca_file=file), "SSL_CERT_F")):
            with pytest.raises(NetworkUnusable, match=told) as caught:
                believed(network)
            assert name in str(caught.value)
            assert str(file) in str(caught.value)


def test_the_usual_variables_for_certificates_are_heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network = way_out(monkeypatch, SSL_CERT_FILE="/a.pem", SSL_CERT_DIR="/b", CLEARFACTS_NETWORK__CA_FILE="/c.pem")
    found = (network.usual_ca_file, network.usual_ca_folder, network.ca_file)
    assert found == (Path("/a.pem"), Path("/b"), Path("/c.pem"))
