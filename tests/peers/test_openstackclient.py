"""The newest python-openstackclient, one command after another as a person
types them, in a region of one site each and in the region of all: each kind of
thing is made, listed, shown, used and deleted. In region global what is made
names its zone, a site, or refers to something there."""

import contextlib
import functools
import hashlib
import json
import os
import time
import uuid

import pytest

import peers

PREFIX = "peer-" + uuid.uuid4().hex[:6]


class Cloud:
    """The program, in one region; 'cloud' is an entry of clouds.yaml."""

    def __init__(self, venv, region, cloud="isthmus"):
        self.region, self.program = region, venv + "openstack"
        self.env = peers.environment(OS_CLOUD=cloud, OS_REGION_NAME=region)

    def run(self, *words):
        return peers.run(self.program, *words, env=self.env)

    def do(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, (self.region, words, done.stderr)
        return done.stdout

    def told(self, *words):
        return json.loads(self.do(*words, "-f", "json"))

    def column(self, name, *words):
        return [row[name] for row in self.told(*words)]

    def id_of(self, kind, name):
        return next(row["ID"] for row in self.told(kind, "list")
                    if row["Name"] == name)

    @contextlib.contextmanager
    def made(self, kind, *options, delete=("delete",)):
        """One with a name of its own, and in the end none."""
        row = self.told(*kind.split(), "create", *options)
        try:
            yield row
        finally:
            self.do(*kind.split(), *delete, row.get("id") or row["name"])


class Region(Cloud):
    """A region, and the site where things are made in it."""

    def __init__(self, venv, region):
        super().__init__(venv, region)
        self.site = "lon" if region == "global" else region
        self.at_site = Cloud(venv, self.site)
        self.direct = Cloud(venv, self.site, self.site + "-shop")

    @functools.lru_cache
    def of_site(self, kind, name):
        """Names are a site's own; ids hold everywhere."""
        return self.at_site.id_of(kind, name)

    def zone(self):
        """What puts a server or volume there."""
        return ["--availability-zone", self.site] \
            if self.region == "global" else []

    def hint(self):
        """What puts a network or router there."""
        return ["--availability-zone-hint", self.site] \
            if self.region == "global" else []

    @contextlib.contextmanager
    def network(self):
        with self.made("network", *self.hint(), name("net")) as network, \
                self.made("subnet", "--network", network["id"],
                          "--subnet-range", "10.98.7.0/24",
                          name("subnet")) as subnet:
            yield network, subnet

    def volume(self):
        return self.made("volume", "--size", "1", *self.zone(), name("vol"))

    def server(self):
        return self.made(
            "server", "--flavor", "m1.nano", "--wait", *self.zone(),
            "--image", self.of_site("image", "debian-12"),
            "--network", self.of_site("network", "shop-net"), name("server"),
            delete=("delete", "--wait"))


def name(what):
    return "%s-%s" % (PREFIX, what)


@pytest.fixture(scope="module", params=peers.REGIONS)
def region(venv, request):
    return Region(venv, request.param)


def wait_for(condition, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out: " + what
        time.sleep(1)


# ------------------------------------------------------------ login, catalog


def test_login(region):
    token = region.told("token", "issue")
    assert token["id"].startswith("isg_")
    assert len(token["project_id"]) == len(token["user_id"]) == 32


def test_catalog_has_urls_of_the_hub(region):
    services = region.told("catalog", "list")
    for service in services:
        for endpoint in service["Endpoints"]:
            assert endpoint["url"].startswith(peers.HUB + "/")
    assert {service["Type"] for service in services if region.region in {
        endpoint["region_id"] for endpoint in service["Endpoints"]}} >= {
            "compute", "network", "image", "volumev3", "identity"}


def test_versions(region):
    """Each service is found, with its microversions."""
    rows = [row for row in region.told("versions", "show")
            if row["Region Name"] == region.region]
    for row in rows:
        assert row["Endpoint"].startswith(peers.HUB + "/"), row
    newest = {row["Service Type"]: row["Max Microversion"] for row in rows
              if row["Status"] == "CURRENT"}
    assert newest["compute"] == "2.93" and newest["block-storage"] == "3.70"
    assert {"identity", "image", "network"} <= set(newest)


def test_own_projects_and_self(region):
    """As any user has them, who is no admin: of others he is told nothing, and
    the client goes on with what is his."""
    token = region.told("token", "issue")
    assert "shop" in region.column("Name", "project", "list")
    assert region.told("project", "show", token["project_id"])["name"] == \
        "shop"
    assert region.told("user", "show", token["user_id"])["name"] == "shop-dev"
    assert "default" in region.column("Name", "security", "group", "list",
                                      "--project", token["project_id"])
    assert "403" in region.run("user", "list").stderr


# ------------------------------------------------------------------- compute


def test_server_boots_and_is_deleted(region):
    with region.server() as server:
        assert server["status"] == "ACTIVE"
        shown = region.told("server", "show", name("server"))
        assert shown["id"] == server["id"]
        assert "debian-12" in str(shown["image"])
        assert "m1.nano" in str(shown["flavor"])
        assert list(shown["addresses"]) == ["shop-net"]
        assert server["id"] in region.column("ID", "server", "list")
        assert server["id"] in region.at_site.column("ID", "server", "list")
        assert region.do("console", "log", "show", server["id"]).strip()
    assert server["id"] not in region.column("ID", "server", "list")


def test_server_takes_a_volume(region):
    with region.volume() as volume, region.server() as server:
        def is_volume(status):
            return region.told("volume", "show",
                               volume["id"])["status"] == status

        wait_for(lambda: is_volume("available"), "the volume is made")
        region.do("server", "add", "volume", server["id"], volume["id"])
        wait_for(lambda: is_volume("in-use"), "the volume is attached")
        assert region.column("Volume ID", "server", "volume", "list",
                             server["id"]) == [volume["id"]]
        region.do("server", "remove", "volume", server["id"], volume["id"])
        wait_for(lambda: is_volume("available"), "the volume is detached")


def test_keypair(region):
    key = region.do("keypair", "create", name("key"))
    try:
        assert "PRIVATE KEY" in key
        listed = {row["Name"]: row["Fingerprint"]
                  for row in region.told("keypair", "list")}
        shown = region.told("keypair", "show", name("key"))
        assert shown["fingerprint"] == listed[name("key")]
        assert region.at_site.told("keypair", "show", name("key"))[
            "fingerprint"] == listed[name("key")]
    finally:
        region.do("keypair", "delete", name("key"))
    assert name("key") not in region.column("Name", "keypair", "list")


def test_flavors(region):
    names = region.column("Name", "flavor", "list")
    assert {"m1.nano", "m1.small"} <= set(region.direct.column(
        "Name", "flavor", "list")) <= set(names)
    assert len(names) == len(set(names))
    assert region.told("flavor", "show", "m1.nano")["ram"] == 64


def test_quota_and_limits(region, venv):
    def of(cloud, *words):
        rows = cloud.told(*words)
        return {row.get("Name", row.get("Resource")):
                row.get("Value", row.get("Limit")) for row in rows}

    here, site = (of(cloud, "quota", "show")
                  for cloud in (region, region.direct))
    assert set(here) == set(site) >= {"instances", "volumes", "networks"}
    limits = of(region, "limits", "show", "--absolute")
    assert set(limits) == set(of(region.direct, "limits", "show",
                                 "--absolute"))
    if region.region != "global":
        assert here == site
    else:
        assert limits["total_instances_used"] == sum(
            of(Cloud(venv, one), "limits", "show",
               "--absolute")["total_instances_used"] for one in peers.SITES)


# ------------------------------------------------------------------- network


def test_network_subnet_port(region):
    with region.network() as (network, subnet):
        assert region.told("network", "show", name("net"))["subnets"] == \
            [subnet["id"]]
        assert region.told("subnet", "show",
                           name("subnet"))["network_id"] == network["id"]
        with region.made("port", "--network", network["id"],
                         name("port")) as port:
            assert region.column("ID", "port", "list", "--network",
                                 network["id"]) == [port["id"]]
            shown = region.told("port", "show", name("port"))
            assert shown["fixed_ips"][0]["subnet_id"] == subnet["id"]
        for kind, row in (("network", network), ("subnet", subnet)):
            for cloud in (region, region.at_site):
                assert row["id"] in cloud.column("ID", kind, "list")
    assert name("net") not in region.column("Name", "network", "list")


def test_router_and_floating_ip(region):
    public = region.of_site("network", "public")
    with region.network() as (network, subnet), region.made(
            "router", *region.hint(), name("router")) as router:
        region.do("router", "set", "--external-gateway", public, router["id"])
        region.do("router", "add", "subnet", router["id"], subnet["id"])
        try:
            shown = region.told("router", "show", name("router"))
            assert shown["external_gateway_info"]["network_id"] == public
            assert [interface["subnet_id"] for interface in
                    shown["interfaces_info"]] == [subnet["id"]]
            assert router["id"] in region.column("ID", "router", "list")
            reach_a_port(region, public, network)
        finally:
            region.do("router", "remove", "subnet", router["id"],
                      subnet["id"])


def reach_a_port(region, public, network):
    with region.made("port", "--network", network["id"],
                     name("port")) as port, \
            region.made("floating ip", public) as address:
        region.do("floating", "ip", "set", "--port", port["id"],
                  address["id"])
        shown = region.told("floating", "ip", "show", address["id"])
        assert shown["port_id"] == port["id"]
        assert address["floating_ip_address"] in region.column(
            "Floating IP Address", "floating", "ip", "list")


def test_security_group_and_rule(region):
    with region.made("security group", name("group")) as group:
        rule = region.told("security", "group", "rule", "create",
                           "--protocol", "tcp", "--dst-port", "443",
                           group["id"])
        assert rule["port_range_min"] == 443
        assert rule["id"] in region.column("ID", "security", "group", "rule",
                                           "list", name("group"))
        region.do("security", "group", "rule", "delete", rule["id"])
        assert group["id"] in region.column("ID", "security", "group", "list")


# ------------------------------------------------------------- image, volume


def test_image_up_and_down(region, tmp_path):
    data = os.urandom(1 << 20)
    (tmp_path / "up").write_bytes(data)
    with region.made("image", "--disk-format", "raw", "--file",
                     str(tmp_path / "up"), name("image")) as image:
        shown = region.told("image", "show", name("image"))
        assert shown["status"] == "active" and shown["size"] == len(data)
        assert shown["checksum"] == hashlib.md5(data).hexdigest()
        assert image["id"] in region.column("ID", "image", "list")
        region.do("image", "save", "--file", str(tmp_path / "down"),
                  image["id"])
        assert (tmp_path / "down").read_bytes() == data
    assert image["id"] not in region.column("ID", "image", "list")


def test_volume(region):
    with region.volume() as volume:
        wait_for(lambda: region.told("volume", "show", name("vol"))["status"]
                 == "available", "the volume is made")
        assert volume["id"] in region.column("ID", "volume", "list")
        assert volume["id"] in region.at_site.column("ID", "volume", "list")
    wait_for(lambda: volume["id"] not in region.column("ID", "volume", "list"),
             "the volume is gone")


def test_volume_types(region):
    """Of which one is made when none is named."""
    default = region.column("Name", "volume", "type", "list", "--default")
    assert default == ["__DEFAULT__"]
    assert set(default) <= set(region.column("Name", "volume", "type",
                                             "list"))


# ----------------------------------------------------------------------- SDK


@pytest.fixture(scope="module")
def sdk(venv):
    """Asks the SDK, in a process of its own."""
    def ask(question):
        script = os.path.join(os.path.dirname(__file__), "sdk.py")
        done = peers.run(venv + "python", script, question,
                         env=peers.environment(OS_CLOUD="isthmus"))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return ask


def test_sdk_pages_of_all_are_the_union_in_order(sdk):
    for kind, answer in sdk("pages").items():
        assert answer["walked"], kind
        assert answer["walked"] == answer["union"], kind


def test_sdk_endpoints_are_the_hubs(sdk):
    answer = sdk("endpoints")
    assert set(answer) == set(peers.REGIONS)
    for region, urls in answer.items():
        assert len(urls) == 4
        for url in urls:
            assert url.startswith("%s/r/%s/" % (peers.HUB, region))


# --------------------------------------------------------------------- after


def test_nothing_is_left(region):
    for kind in ("server", "volume", "image", "keypair", "router", "network",
                 "subnet", "port", "security group"):
        assert [one for one in region.column("Name", *kind.split(), "list")
                if one.startswith(PREFIX)] == [], kind
