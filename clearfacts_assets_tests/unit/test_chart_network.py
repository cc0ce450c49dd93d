"""Who may speak to whom on the cluster: the policies open the arrows of the one table, and nothing else.

What the policies mean is worked out here from the objects alone, as a cluster does; the table is read beside it.
"""

from __future__ import annotations

import ipaddress
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from itertools import product

import pytest
import yaml

from clearfacts_assets_tests.fixtures import chart
from clearfacts_assets_tests.fixtures.chart import Object

pytestmark = chart.TESTS

PORTS = (22, 53, 80, 443, 587, 3000, 3030, 5432, 6379, 6443, 8080, 8443, 9090, 15012)
STRANGER = {"app": "somebody-elses"}
OUTSIDE = {  # an address of each place that has no pods here
    "kubernetes": "10.96.0.1",
    "internet": "203.0.113.9",
    "erp": "203.0.113.9",  # while it has no networks of its own, it is reached as the internet is
    "mail": "203.0.113.9",
    "postgresql": "10.20.0.5",
    "redis": "10.20.1.5",
    "world": "198.51.100.7",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """One end: a pod with its labels in a namespace, or an address outside of all of them."""

    name: str
    namespace: str = ""
    labels: Object = field(default_factory=dict, hash=False)
    address: str = ""


def table() -> Object:
    made: Object = yaml.safe_load((chart.inventory.CHART / "files" / "arrows.yaml").read_text("utf-8"))
    return made


@cache
def defaults() -> Object:
    made: Object = yaml.safe_load((chart.inventory.CHART / "values.yaml").read_text("utf-8"))
    return chart.merged(made, chart.values("development"))


@cache
def pods(environment: str) -> tuple[Peer, ...]:
    """Every kind of pod that there is, and one that is nobody's in each namespace."""
    started = [(namespace, pod) for _, namespace, pod in chart.templates(chart.objects(environment))]
    started.append(("clearfacts-system", chart.run_job(environment)["spec"]["template"]))
    ours = [
        Peer(pod["metadata"]["labels"]["app.kubernetes.io/component"], namespace, pod["metadata"]["labels"])
        for namespace, pod in started
    ]
    return (
        *ours,
        Peer("daemon", "clearfacts-system", chart.values(environment)["dagsterDaemon"]["labels"]),
        Peer("gateway", "clearfacts-networking", defaults()["gateway"]["selector"]),
        Peer("prometheus", "clearfacts-system", defaults()["monitoring"]["prometheus"]["labels"]),
        *(Peer(f"stranger in {place}", place, STRANGER) for place in ("clearfacts-system", "clearfacts-data")),
    )


def fits(selector: Object, labels: Object) -> bool:
    assert set(selector) <= {"matchLabels"}, "the tests know no other selectors"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def is_meant(peer: Object, other: Peer) -> bool:
    if "ipBlock" in peer:
        if not other.address:
            return False  # a pod is not reached by its address: that would go round its own policy
        address = ipaddress.ip_address(other.address)
        inside = address in ipaddress.ip_network(peer["ipBlock"]["cidr"])
        return inside and not any(address in ipaddress.ip_network(out) for out in peer["ipBlock"].get("except", ()))
    namespace = {"kubernetes.io/metadata.name": other.namespace}
    return (
        bool(other.namespace) and fits(peer["namespaceSelector"], namespace) and fits(peer["podSelector"], other.labels)
    )


def allows(policies: list[Object], one: Peer, other: Peer, port: int, way: str) -> bool:
    """Whether ``one`` may have traffic with ``other`` in that way, Egress or Ingress."""
    if not one.namespace:
        return True  # nobody's policies hold outside
    mine = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == one.namespace
        and way in policy["spec"]["policyTypes"]
        and fits(policy["spec"]["podSelector"], one.labels)
    ]
    if not mine:
        return True
    ends = "to" if way == "Egress" else "from"
    return any(
        any(named["port"] == port and named["protocol"] == "TCP" for named in rule["ports"])
        and any(is_meant(peer, other) for peer in rule[ends])
        for spec in mine
        for rule in spec.get(way.lower(), ())
    )


@cache
def outside(environment: str) -> tuple[Peer, ...]:
    """The places that have no pods here, each by an address of its own or by one of the internet."""
    inside = {peer.name for peer in pods(environment)}
    return tuple(Peer(name, address=address) for name, address in OUTSIDE.items() if name not in inside)


def open_arrows(environment: str, policies: list[Object] | None = None) -> set[tuple[str, str, int]]:
    policies = chart.of_kind(environment, "NetworkPolicy") if policies is None else policies
    inside, everybody = pods(environment), (*pods(environment), *outside(environment))
    return {
        (one.name, other.name, port)
        for one, other, port in product(everybody, everybody, PORTS)
        if (one in inside or other in inside)
        and allows(policies, one, other, port, "Egress")
        and allows(policies, other, one, port, "Ingress")
    }


def meant(environment: str) -> set[tuple[str, str, int]]:
    """The table's arrows, with the ports that values give to what is outside.

    Addresses know no names: who may reach one public address at a port may reach all of them there, and from everywhere
    out there people knock at the gateway. What the hosts are called is the mesh's to check.
    """
    by_values = {"kubernetes": (443, 6443), "erp": (443,), "internet": (443,), "mail": (587,)}
    arrows = {
        (arrow["from"], arrow["to"], port)
        for arrow in table()["arrows"]
        for port in ([arrow["port"]] if "port" in arrow else by_values[arrow["to"]])
    }
    places = outside(environment)
    public = {place.name for place in places if not place.address.startswith("10.")}
    told = {(one, name, port) for one, to, port in arrows if to in public and one not in public for name in public}
    knocking = {(place.name, to, port) for one, to, port in arrows if one == "world" for place in places}
    return arrows | told | knocking


@pytest.mark.parametrize("environment", ["development", "production"])
def test_exactly_the_arrows_of_the_table_are_open(environment: str) -> None:
    found, expected = open_arrows(environment), meant(environment)
    assert found - expected == set(), "opened by no arrow of the table"
    assert expected - found == set(), "in the table, and not open"


def test_a_stranger_reaches_nothing_and_nothing_reaches_a_stranger() -> None:
    assert [arrow for arrow in open_arrows("development") if "stranger" in f"{arrow[0]} {arrow[1]}"] == []


def without(*names: str) -> list[Object]:
    """The policies of development but those, each given as namespace/name."""
    return [
        one
        for one in chart.of_kind("development", "NetworkPolicy")
        if f"{one['metadata']['namespace']}/{one['metadata']['name']}" not in names
    ]


def test_one_policy_too_few_is_noticed() -> None:
    assert meant("development") - open_arrows("development", without("clearfacts-data/redis")) == {
        ("api", "redis", 6379)
    }
    lost = meant("development") - open_arrows("development", without("clearfacts-system/migration"))
    assert lost == {("migration", "postgresql", 5432)}


def test_one_policy_too_many_is_noticed() -> None:
    extra = deepcopy(chart.one("development", "NetworkPolicy", "run"))
    extra["spec"]["egress"] = [
        {"to": [{"ipBlock": {"cidr": "10.96.0.1/32"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    ]
    found = open_arrows("development", [*without(), extra])
    assert found - meant("development") == {("run", "kubernetes", 443)}


def test_the_nodes_metadata_and_private_networks_are_not_outside() -> None:
    policies = chart.of_kind("development", "NetworkPolicy")
    (run,) = [peer for peer in pods("development") if peer.name == "run"]
    for address in ("169.254.169.254", "10.1.2.3", "192.168.1.1", "172.20.0.1"):
        assert not allows(policies, run, Peer("private", address=address), 443, "Egress"), address
    assert allows(policies, run, Peer("public", address="203.0.113.9"), 443, "Egress")


def test_an_erp_in_a_private_network_is_reached_there_and_nowhere_else() -> None:
    made = chart.inventory.rendered(
        "development", chart.images(), "--set", "network.erp.cidrs={10.9.0.0/24},network.erp.port=8443"
    )
    policies = [thing for thing in made if thing["kind"] == "NetworkPolicy"]
    (run,) = [peer for peer in pods("development") if peer.name == "run"]
    reached = {
        address: allows(policies, run, Peer("", address=address), 8443, "Egress")
        for address in ("10.9.0.7", "10.8.0.7")
    }
    assert reached == {"10.9.0.7": True, "10.8.0.7": False}


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_the_mesh_allows_the_same_arrows_by_identity(environment: str) -> None:
    """AuthorizationPolicies against the table: who, to whose port, and over HTTP which paths."""
    places = table()["places"]
    inside = {peer.name for peer in pods(environment)}
    expected = {
        (arrow["from"], arrow["to"], str(arrow["port"]), tuple(arrow.get("paths", ())), tuple(arrow.get("except", ())))
        for arrow in table()["arrows"]
        if arrow["to"] in inside
    }
    accounts = {place["account"]: name for name, place in places.items() if "account" in place}
    accounts |= {"clearfacts-ingress": "gateway"}
    found = set()
    for policy in chart.of_kind(environment, "AuthorizationPolicy"):
        for rule in policy["spec"].get("rules", ()):
            (to,) = (end["operation"] for end in rule["to"])
            principals = rule["from"][0]["source"]["principals"] if "from" in rule else [""]
            who = {accounts.get(principal.rsplit("/", 1)[-1], "world") for principal in principals}
            (port,) = to["ports"]
            found |= {
                (name, policy["metadata"]["name"], port, tuple(to.get("paths", ())), tuple(to.get("notPaths", ())))
                for name in who
            }
    assert found == expected


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_each_principal_is_the_account_that_its_pods_run_under(environment: str) -> None:
    run_by = {
        pod["spec"]["serviceAccountName"]
        for _, _, pod in [
            *chart.templates(chart.objects(environment)),
            ("", "", chart.run_job(environment)["spec"]["template"]),
        ]
    }
    named = {
        principal.rsplit("/", 1)[-1]
        for policy in chart.of_kind(environment, "AuthorizationPolicy")
        for rule in policy["spec"].get("rules", ())
        for end in rule.get("from", ())
        for principal in end["source"]["principals"]
    }
    elsewhere = {"dagster", "clearfacts-ingress", "prometheus"}  # of Dagster's chart, Istio's and the operator's
    assert named - elsewhere <= run_by
    accounts = {thing["metadata"]["name"] for thing in chart.of_kind(environment, "ServiceAccount")}
    assert run_by <= accounts


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_every_namespace_is_strict_and_denies_by_default(environment: str) -> None:
    names = {thing["metadata"]["name"] for thing in chart.of_kind(environment, "Namespace")}
    assert names == {"clearfacts-system", "clearfacts-data", "clearfacts-networking"}
    strict = chart.of_kind(environment, "PeerAuthentication")
    assert {one["metadata"]["namespace"]: one["spec"] for one in strict} == {
        name: {"mtls": {"mode": "STRICT"}} for name in names
    }
    for kind, spec in (
        ("AuthorizationPolicy", {}),
        ("NetworkPolicy", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
    ):
        by_default = [one for one in chart.of_kind(environment, kind) if one["metadata"]["name"] == "deny-by-default"]
        assert {one["metadata"]["namespace"]: one["spec"] for one in by_default} == dict.fromkeys(names, spec)


def test_the_way_in_is_tls_and_hides_what_is_for_the_cluster_alone() -> None:
    servers = {
        server["port"]["number"]: server
        for server in chart.one("production", "Gateway", "clearfacts")["spec"]["servers"]
    }
    assert (servers[443]["tls"]["mode"], servers[443]["tls"]["minProtocolVersion"]) == ("SIMPLE", "TLSV1_2")
    assert servers[80]["tls"] == {"httpsRedirect": True}
    hidden, everything = chart.one("production", "VirtualService", "clearfacts")["spec"]["http"]
    paths = {match["uri"]["exact"] for match in hidden["match"]}
    assert (paths, hidden["directResponse"]["status"]) == ({"/metrics", "/healthz", "/readyz"}, 404)
    assert everything["retries"] == {"attempts": 0}, "a gateway that repeats a POST would do a wish twice"
    assert everything["route"][0]["destination"]["host"] == "clearfacts-api.clearfacts-system.svc.cluster.local"


def test_logins_are_counted_apart_and_the_firewall_fails_closed() -> None:
    patches = chart.one("production", "EnvoyFilter", "clearfacts-rate-limits")["spec"]["configPatches"]
    limits = patches[0]["patch"]["value"]["typed_config"]["value"]
    counted = {one["entries"][0]["value"]: one["token_bucket"]["max_tokens"] for one in limits["descriptors"]}
    assert counted == {"login": 30, "uploads": 60}
    matched = {
        action["actions"][0]["header_value_match"]["descriptor_value"]
        for action in patches[1]["patch"]["value"]["rate_limits"]
    }
    assert matched == set(counted)
    firewall = chart.one("production", "WasmPlugin", "clearfacts-waf")["spec"]
    assert (firewall["failStrategy"], "@sha256:" in firewall["url"]) == ("FAIL_CLOSE", True)
    assert "SecRuleEngine On" in firewall["pluginConfig"]["directives_map"]["clearfacts"]
