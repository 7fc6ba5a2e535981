"""Region global: all sites where a project acts as one OpenStack. Merged lists
against each site's own, page by page; objects found wherever they are; things
made where they belong; a site that is away missing nowhere."""

import contextlib
import http.client
import json
import time
import uuid

import pytest

import rig
from test_identity import openstack, told, token
from test_relay import raw

HUB = "https://localhost:%d" % rig.PORT
SITES = ["hkg", "lon"]  # Where shop acts.

# Service, path, member that holds the rows, whether newest come first.
LISTS = {
    "servers": ("compute", "/v2.1/servers/detail", "servers", True),
    "volumes": ("volume", "/v3/{project}/volumes/detail", "volumes", True),
    "snapshots": ("volume", "/v3/{project}/snapshots/detail", "snapshots",
                  True),
    "images": ("image", "/v2/images", "images", True),
    "networks": ("network", "/v2.0/networks", "networks", False),
    "subnets": ("network", "/v2.0/subnets", "subnets", False),
    "ports": ("network", "/v2.0/ports", "ports", False),
    "routers": ("network", "/v2.0/routers", "routers", False),
    "security-groups": ("network", "/v2.0/security-groups",
                        "security_groups", False),
    "floating-ips": ("network", "/v2.0/floatingips", "floatingips", False),
}
CREATED = {"servers": "created"}


class Tenant:
    """A user with a token, in whatever region."""

    def __init__(self, **who):
        self.token, body = token(**who)
        self.project = body["project"]["id"]
        self.regions = {endpoint["region"] for entry in body["catalog"]
                        for endpoint in entry["endpoints"]}

    def ask(self, region, service, path, method="GET", body=None, **headers):
        headers = {name.replace("_", "-"): value
                   for name, value in headers.items()}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        url = "%s/r/%s/%s%s" % (HUB, region, service,
                                path.format(project=self.project))
        status, headers, text = raw(method, url, headers, body, self.token)
        try:
            return status, headers, json.loads(text) if text else None
        except ValueError:
            return status, headers, text

    def good(self, *words, **more):
        status, _, body = self.ask(*words, **more)
        assert status < 300, (words, status, body)
        return body

    def rows(self, region, kind, query=""):
        service, path, member, _ = LISTS[kind]
        return self.good(region, service, path + query)[member]


@pytest.fixture(scope="module")
def shop():
    return Tenant()


@pytest.fixture
def away(healed):
    """Without its second site, until the end."""
    rig.demo("kill", "lon")
    rig.wait_for(lambda: "lon" not in rig.present(), 20, "lon is absent")
    yield "lon"


def ids(rows):
    return [row["id"] for row in rows]


def in_order(kind, rows):
    """As the region sorts them: site names break ties."""
    member = CREATED.get(kind, "created_at")
    if LISTS[kind][3]:
        return sorted(sorted(rows, key=lambda r: (r[0], r[1]["id"])),
                      key=lambda r: r[1][member], reverse=True)
    return sorted(rows, key=lambda r: r[1]["id"])


def union(tenant, kind):
    rows = [(site, row) for site in SITES for row in tenant.rows(site, kind)]
    return in_order(kind, rows)


# --------------------------------------------------------------------- lists


def test_regions(shop):
    assert shop.regions == {"global", *SITES}
    assert Tenant(user="media-ops", project="media").regions == \
        {"global", "hkg", "sjc"}


@pytest.mark.parametrize("kind", LISTS)
def test_all_rows_in_order(shop, kind):
    wanted = union(shop, kind)
    assert wanted, "the seed has none: the test would show nothing"
    assert ids(shop.rows("global", kind)) == [row["id"] for _, row in wanted]


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_by_marker(shop, kind, limit):
    wanted, got, query = ids(shop.rows("global", kind)), [], ""
    while True:
        rows = shop.rows("global", kind, "?limit=%d%s" % (limit, query))
        if not rows:
            break
        assert len(rows) <= limit
        got += ids(rows)
        query = "&marker=" + got[-1]
    assert got == wanted


@pytest.mark.parametrize("kind", LISTS)
def test_pages_by_links(shop, kind):
    service, path, member, _ = LISTS[kind]
    wanted, got = ids(shop.rows("global", kind)), []
    path += "?limit=2"
    while path:
        body = shop.good("global", service, path)
        got += ids(body[member])
        path = next_of(body, member, service)
    assert got == wanted


def next_of(body, member, service):
    if service == "image":
        return body.get("next")
    for link in body.get(member + "_links", []):
        if link["rel"] == "next":
            base = "%s/r/global/%s" % (HUB, service)
            assert link["href"].startswith(base + "/"), link
            return link["href"][len(base):]
    return None


@pytest.mark.parametrize("query", [
    "sort_key=display_name&sort_dir=asc", "sort_key=created_at&sort_dir=asc",
    "sort_key=uuid&sort_dir=asc"])
def test_sorted_by(shop, query):
    rows = shop.rows("global", "servers", "?" + query)
    member = {"display_name": "name", "created_at": "created",
              "uuid": "id"}[query.split("&")[0].split("=")[1]]
    values = [row[member] for row in rows]
    assert values == sorted(values) and len(values) > 3
    walked = []
    while len(walked) < len(rows):
        more = shop.rows("global", "servers", "?limit=2&%s%s" % (
            query, "&marker=" + walked[-1] if walked else ""))
        walked += ids(more)
    assert walked == ids(rows)


# What reads otherwise in the region: zones, flavors, and where links lead.
def as_global(row, site):
    text = json.dumps(row).replace("/r/%s/" % site, "/r/global/")
    row = json.loads(text)
    for member in ("OS-EXT-AZ:availability_zone", "availability_zone"):
        if row.get(member):
            row[member] = site
    return row


@pytest.mark.parametrize("kind", LISTS)
def test_rows_are_the_sites_own(shop, kind):
    here = {row["id"]: row for row in shop.rows("global", kind)}
    for site in SITES:
        for row in shop.rows(site, kind):
            got, wanted = here[row["id"]], as_global(row, site)
            for side in (got, wanted):
                side.pop("flavor", None)  # Its own test.
                for zones in ("availability_zones", "updated", "updated_at"):
                    side.pop(zones, None)
            assert got == wanted


def test_filters_are_the_services_own(shop):
    rows = shop.rows("global", "servers")
    name = rows[0]["name"]
    assert set(ids(shop.rows("global", "servers", "?name=^%s$" % name))) == \
        {row["id"] for row in rows if row["name"] == name}
    assert shop.rows("global", "servers", "?status=ERROR") == []
    ports = shop.rows("global", "ports")
    network = ports[0]["network_id"]
    assert ids(shop.rows("global", "ports", "?network_id=" + network)) == \
        ids([port for port in ports if port["network_id"] == network])
    own = shop.rows("global", "networks", "?project_id=" + shop.project)
    assert own and all(row["project_id"] == shop.project for row in own)
    assert {row["OS-EXT-AZ:availability_zone"] for row in shop.rows(
        "global", "servers", "?availability_zone=lon")} == {"lon"}
    flavor = rows[0]["flavor"]["id"]
    assert ids(shop.rows("global", "servers", "?flavor=" + flavor)) == \
        ids([row for row in rows if row["flavor"]["id"] == flavor])
    fields = shop.rows("global", "networks", "?fields=id&fields=name")
    assert all(set(row) == {"id", "name"} for row in fields)


def test_brief_lists(shop):
    body = shop.good("global", "compute", "/v2.1/servers")
    assert all(set(row) == {"id", "name", "links"} for row in body["servers"])
    assert ids(body["servers"]) == ids(shop.rows("global", "servers"))


@pytest.mark.parametrize("query,word", [
    ("limit=x", "limit"), ("limit=-1", "limit"),
    ("sort_key=password", "sort"),
    ("marker=nosuch", "marker [nosuch] not found"),
    ("marker=" + str(uuid.uuid4()), "marker"),
    ("availability_zone=moon", "zone")])
def test_bad_queries(shop, query, word):
    status, _, body = shop.ask("global", "compute",
                               "/v2.1/servers/detail?" + query)
    assert status == 400 and body["badRequest"]["code"] == 400
    assert word in body["badRequest"]["message"]


# -------------------------------------------------------- documents of several


def test_flavors_are_one_by_name(shop):
    here = shop.good("global", "compute", "/v2.1/flavors/detail")["flavors"]
    names = [row["name"] for row in here]
    assert len(set(names)) == len(names)
    assert ids(here) == names
    for site in SITES:
        own = shop.good(site, "compute", "/v2.1/flavors/detail")["flavors"]
        assert {row["name"] for row in own} <= set(names)
    one = shop.good("global", "compute", "/v2.1/flavors/m1.small")["flavor"]
    assert one["id"] == one["name"] == "m1.small"
    assert all(link["href"].endswith("/flavors/m1.small")
               for link in one["links"])
    assert shop.ask("global", "compute", "/v2.1/flavors/moon")[0] == 404
    got, path = [], "/v2.1/flavors?limit=2"
    while path:
        body = shop.good("global", "compute", path)
        got += ids(body["flavors"])
        path = next_of(body, "flavors", "compute")
    assert got == names
    assert shop.good("global", "compute", "/v2.1/flavors?limit=0") == {
        "flavors": []}
    for wrong in ("marker=nosuch", "limit=-1", "limit=x"):
        assert shop.ask("global", "compute",
                        "/v2.1/flavors?" + wrong)[0] == 400
    assert shop.good("global", "volume", "/v3/{project}/types/default")[
        "volume_type"]["id"] == "__DEFAULT__"
    assert shop.rows("global", "servers", "?limit=0") == []


def test_servers_flavors(shop):
    for row in shop.rows("global", "servers"):
        assert row["flavor"]["id"].startswith("m1.")


def test_zones(shop):
    zones = shop.good("global", "compute",
                      "/v2.1/os-availability-zone")["availabilityZoneInfo"]
    assert [(z["zoneName"], z["zoneState"]["available"]) for z in zones] == \
        [(site, True) for site in SITES]
    zones = shop.good("global", "volume", "/v3/{project}/os-availability-zone")
    assert {z["zoneName"] for z in zones["availabilityZoneInfo"]} == set(SITES)


def test_networks_zones(shop):
    """What hints may name."""
    zones = shop.good("global", "network",
                      "/v2.0/availability_zones")["availability_zones"]
    assert {zone["name"] for zone in zones} == set(SITES)
    assert {zone["resource"] for zone in zones} == {"network", "router"}


def test_usage_ends(shop):
    """Clients ask behind the last row until nothing comes."""
    path = "/v2.1/os-simple-tenant-usage/{project}"
    version = {"OpenStack_API_Version": "compute 2.40"}
    usage = shop.good("global", "compute", path, **version)["tenant_usage"]
    own = [shop.good(site, "compute", path, **version)["tenant_usage"]
           for site in SITES]
    assert len(usage["server_usages"]) == sum(
        len(site["server_usages"]) for site in own) > 3
    last = usage["server_usages"][-1]["instance_id"]
    assert shop.good("global", "compute", path + "?marker=" + last,
                     **version) == {"tenant_usage": {}}


def test_a_snapshots_project_is_the_hubs(shop):
    name = "os-extended-snapshot-attributes:project_id"
    for region in ("global", "hkg"):
        rows = shop.rows(region, "snapshots")
        assert rows and {row[name] for row in rows} == {shop.project}


def test_limits_are_sums(shop):
    def absolute(region):
        return shop.good(region, "compute", "/v2.1/limits")["limits"][
            "absolute"]
    here, sites = absolute("global"), [absolute(site) for site in SITES]
    for name in ("totalInstancesUsed", "totalCoresUsed", "totalRAMUsed"):
        assert here[name] == sum(site[name] for site in sites) > 0
    for name in ("maxTotalInstances", "maxServerGroups"):
        own = [site[name] for site in sites]
        assert here[name] == (-1 if -1 in own else sum(own))
    # Of one object, and of what is one at all sites, it is no sum.
    for name in ("maxServerMeta", "maxTotalKeypairs"):
        assert here[name] == sites[0][name]


def test_quotas(shop):
    path = "/v2.1/os-quota-sets/{project}"
    assert shop.good("global", "compute", path)["quota_set"]["id"] == \
        shop.project
    status, _, body = shop.ask("global", "compute", path, method="PUT",
                               body={"quota_set": {"cores": 1}})
    assert status == 403 and "region of the site" in \
        body["forbidden"]["message"]


def test_extensions_are_those_of_all(shop):
    here = shop.good("global", "network", "/v2.0/extensions")["extensions"]
    sites = [shop.good(site, "network", "/v2.0/extensions")["extensions"]
             for site in SITES]
    assert {row["alias"] for row in here} == set.intersection(
        *[{row["alias"] for row in site} for site in sites])


# ------------------------------------------------------------------- versions


@pytest.mark.parametrize("service,path", [
    ("compute", "/"), ("compute", "/v2.1/"), ("compute", "/v2.1"),
    ("volume", "/"), ("volume", "/v3/"), ("image", "/"), ("network", "/")])
def test_version_documents_need_no_token(service, path):
    status, _, text = raw("GET", "%s/r/global/%s%s" % (HUB, service, path))
    body = json.loads(text)
    assert status in (200, 300)
    versions = body.get("versions") or [body["version"]]
    for version in versions:
        assert version["status"] in ("CURRENT", "SUPPORTED", "DEPRECATED")
        for link in version["links"]:
            if link["rel"] == "self":
                assert link["href"].startswith(
                    "%s/r/global/%s/" % (HUB, service))
    if service == "compute":
        assert versions[-1]["version"] == "2.93"
        assert versions[-1]["min_version"] == "2.1"


@pytest.mark.parametrize("header", [
    {"OpenStack_API_Version": "compute %s"},
    {"X_OpenStack_Nova_API_Version": "%s"}])
def test_microversions(shop, header):
    def ask(version):
        return shop.ask("global", "compute", "/v2.1/servers/detail",
                        **{name: value % version
                           for name, value in header.items()})
    status, headers, body = ask("2.69")
    assert status == 200
    assert headers["OpenStack-API-Version"] == "compute 2.69"
    assert headers["X-OpenStack-Nova-API-Version"] == "2.69"
    assert "original_name" in body["servers"][0]["flavor"]
    assert ask("latest")[1]["OpenStack-API-Version"] == "compute 2.93"
    status, _, body = ask("2.999")
    assert status == 406 and body == {"computeFault": {
        "code": 406, "message": "Version 2.999 is not supported by the API. "
        "Minimum is 2.1 and maximum is 2.93."}}
    status, _, body = ask("x.y")
    assert status == 400 and body["badRequest"]["code"] == 400


# ------------------------------------------------------------------- objects


@pytest.mark.parametrize("kind", LISTS)
def test_show(shop, kind):
    service, path, member, _ = LISTS[kind]
    path = path.removesuffix("/detail")
    for site in [site for site in SITES if shop.rows(site, kind)]:
        one = shop.rows(site, kind)[-1]["id"]
        status, headers, here = shop.ask("global", service, path + "/" + one)
        assert status == 200
        own = shop.good(site, service, path + "/" + one)
        if kind != "images":
            here, own = (next(iter(body.values())) for body in (here, own))
        assert here["id"] == own["id"] == one
        assert set(here) == set(own)


def test_subresources(shop):
    for site in SITES:
        one = next(row for row in shop.rows(site, "servers")
                   if row["addresses"])["id"]
        path = "/v2.1/servers/%s/os-interface" % one
        assert shop.good("global", "compute", path) == \
            shop.good(site, "compute", path)
        body = shop.good("global", "compute", "/v2.1/servers/%s/action" % one,
                         method="POST",
                         body={"os-getConsoleOutput": {"length": 3}})
        assert "output" in body


@pytest.mark.parametrize("path", ["/v2.1/servers/" + str(uuid.uuid4()),
                                  "/v2.1/servers/web-1"])
def test_not_there(shop, path):
    status, _, body = shop.ask("global", "compute", path)
    assert status == 404 and body["itemNotFound"]["code"] == 404


def test_anothers_is_not_there(shop, clouds):
    """And in the same words as what nobody has."""
    media = next(row for row in clouds["hkg"].rows("servers")
                 if row["tenant_id"] not in
                 {row["tenant_id"] for row in rows_of_shop(clouds)})["id"]
    nobody = str(uuid.uuid4())
    for method in ("GET", "DELETE"):
        for path in ("/v2.1/servers/%s", "/v2.1/servers/%s/os-interface"):
            answers = [shop.ask("global", "compute", path % one,
                                method=method) for one in (media, nobody)]
            assert answers[0][0] == answers[1][0] == 404
            texts = [json.dumps(answer[2]).replace(one, "ID")
                     for answer, one in zip(answers, (media, nobody))]
            assert texts[0] == texts[1]
    status, _, body = shop.ask("global", "compute",
                               "/v2.1/servers/detail?marker=" + media)
    assert status == 400 and "not found" in body["badRequest"]["message"]


def rows_of_shop(clouds):
    return [row for row in clouds["hkg"].rows("servers")
            if row["name"] == "cache-1"]


@pytest.mark.parametrize("path", [
    "/v2.1/servers/detail", "/v2.1/limits", "/v2.1/flavors/detail",
    "/v2.1/os-keypairs", "/v2.1/os-quota-sets/{project}"])
def test_anothers_doings_are_not_seen(shop, path):
    before = shop.good("global", "compute", path)
    media = Tenant(user="media-ops", project="media")
    with server(media, "hkg", flavorRef=flavor(media, "hkg"),
                imageRef=image(media, "hkg"), networks="none",
                version="2.37"):
        assert shop.good("global", "compute", path) == before


# --------------------------------------------------------------------- making


def flavor(tenant, region, name="m1.nano"):
    rows = tenant.good(region, "compute", "/v2.1/flavors")["flavors"]
    return next(row["id"] for row in rows if row["name"] == name)


def image(tenant, region, name="debian-12"):
    return next(row["id"] for row in tenant.rows(region, "images")
                if row["name"] == name)


def network(tenant, region, name="shop-net"):
    return next(row["id"] for row in tenant.rows(region, "networks")
                if row["name"] == name)


@contextlib.contextmanager
def server(tenant, region, version="2.1", **members):
    """Made, and in the end gone."""
    body = {"server": {"name": "made-" + uuid.uuid4().hex[:8], **members}}
    made = tenant.good(region, "compute", "/v2.1/servers", method="POST",
                       body=body, OpenStack_API_Version="compute " + version)
    one = "/v2.1/servers/" + made["server"]["id"]
    try:
        yield made["server"]["id"]
    finally:
        assert tenant.ask(region, "compute", one, method="DELETE")[0] == 204
        rig.wait_for(lambda: tenant.ask(region, "compute", one)[0] == 404, 60,
                     "the server is gone")


def site_of(tenant, one):
    return [site for site in SITES if tenant.ask(
        site, "compute", "/v2.1/servers/" + one)[0] == 200]


def active(tenant, one):
    def is_active():
        row = tenant.good("global", "compute", "/v2.1/servers/" + one)
        assert row["server"]["status"] != "ERROR", row
        return row["server"]["status"] == "ACTIVE"
    rig.wait_for(is_active, 90, "the server is ACTIVE")


@pytest.mark.parametrize("site", SITES)
def test_made_in_a_zone(shop, site):
    with server(shop, "global", flavorRef="m1.nano", availability_zone=site,
                imageRef=image(shop, site), networks="none",
                version="2.37") as one:
        assert site_of(shop, one) == [site]
        assert one in ids(shop.rows("global", "servers"))
        active(shop, one)
        row = shop.good("global", "compute", "/v2.1/servers/" + one)["server"]
        assert row["OS-EXT-AZ:availability_zone"] == site
        assert row["flavor"]["id"] == "m1.nano"


@pytest.mark.parametrize("site", SITES)
def test_made_where_its_network_is(shop, site):
    with server(shop, "global", flavorRef="m1.nano",
                imageRef=image(shop, site),
                networks=[{"uuid": network(shop, site)}]) as one:
        assert site_of(shop, one) == [site]


def test_spread(shop):
    """Where the project has the fewest, of the sites that have the image."""
    used = {site: shop.good(site, "compute", "/v2.1/limits")["limits"][
        "absolute"]["totalInstancesUsed"] for site in SITES}
    with copies(shop) as at, server(
            shop, "global", flavorRef="m1.nano", imageRef=at["hkg"],
            networks="none", version="2.37") as one:
        assert site_of(shop, one) == [min(used, key=used.get)]


def test_groups_of_every_site(shop):
    """As forms fill them in: each site has a group called default."""
    groups = [row["id"] for row in shop.rows("global", "security-groups")
              if row["name"] == "default"]
    assert len(groups) == len(SITES)
    with server(shop, "global", flavorRef="m1.nano", availability_zone="lon",
                imageRef=image(shop, "lon"),
                networks=[{"uuid": network(shop, "lon")}],
                security_groups=[{"name": one} for one in groups]) as one:
        active(shop, one)
        row = shop.good("global", "compute", "/v2.1/servers/" + one)["server"]
        assert row["security_groups"] == [{"name": "default"}]


def test_a_client_that_leaves_makes_nothing(shop, healed):
    """While the sites are asked for room: nobody would know of the server."""
    name = "made-" + uuid.uuid4().hex[:8]
    body = json.dumps({"server": {
        "name": name, "flavorRef": "m1.nano", "networks": "none",
        "imageRef": image(shop, "hkg")}})
    with rig.stopped(rig.agent("lon")):
        connection = http.client.HTTPSConnection("localhost", rig.PORT,
                                                 context=rig.tls())
        connection.request("POST", "/r/global/compute/v2.1/servers", body, {
            "X-Auth-Token": shop.token, "Content-Type": "application/json",
            "OpenStack-API-Version": "compute 2.37"})
        time.sleep(1)
        connection.close()
        time.sleep(1)
    time.sleep(3)
    assert name not in [row["name"] for row in shop.rows("hkg", "servers")]


@pytest.mark.parametrize("members,status,word", [
    ({"availability_zone": "moon"}, 400, "moon"),
    ({"availability_zone": "lon", "imageRef": "hkg"}, 400, "it is at hkg"),
    ({"networks": "both"}, 400, "must be at one site"),
    ({"flavorRef": "moon"}, 403, "no such flavor")])
def test_cannot_be_made(shop, members, status, word):
    """With the sites named that are the reason."""
    members = {"flavorRef": "m1.nano", "imageRef": "hkg", **members}
    members["imageRef"] = image(shop, members["imageRef"])
    if members.get("networks") == "both":
        members["networks"] = [{"uuid": network(shop, site)}
                               for site in SITES]
    before = ids(shop.rows("global", "servers"))
    got, _, body = shop.ask(
        "global", "compute", "/v2.1/servers", method="POST",
        body={"server": {"name": "never", **members}})
    assert got == status, body
    fault = next(iter(body.values()))
    assert fault["code"] == status and word in fault["message"]
    assert ids(shop.rows("global", "servers")) == before


def test_anothers_network_and_image_are_nowhere(shop):
    """Whoever names them learns no more than of what nobody has."""
    media = Tenant(user="media-ops", project="media")
    own = next(row["id"] for row in media.rows("hkg", "networks")
               if row["project_id"] == media.project)
    secret = media.good("hkg", "image", "/v2/images", method="POST",
                        body={"name": "secret", "disk_format": "raw",
                              "container_format": "bare"})["id"]

    def ask(**members):
        status, _, body = shop.ask(
            "global", "compute", "/v2.1/servers", method="POST",
            body={"server": {"name": "never", "flavorRef": "m1.nano",
                             "availability_zone": "lon", **members}})
        assert status == 400, body
        return json.dumps(body)
    try:
        rig.wait_for(lambda: any(
            row["id"] == secret for row in
            rig.get("/api/v1/images?max_age=3600&limit=1000").items()), 20,
            "the view knows the image")
        nobody, there = str(uuid.uuid4()), image(shop, "lon")
        for make in (lambda one: ask(imageRef=one),
                     lambda one: ask(imageRef=there, availability_zone=None,
                                     networks=[
                                         {"uuid": network(shop, "lon")},
                                         {"uuid": one}])):
            for one in (secret, own):
                assert make(one).replace(one, "ID") == \
                    make(nobody).replace(nobody, "ID")
    finally:
        media.ask("hkg", "image", "/v2/images/" + secret, method="DELETE")


@contextlib.contextmanager
def copies(tenant):
    """The same bytes as an image at each site: site -> id."""
    data, at = uuid.uuid4().bytes * 4096, {}
    for site in SITES:
        at[site] = tenant.good(
            site, "image", "/v2/images", method="POST",
            body={"name": "copy", "disk_format": "raw",
                  "container_format": "bare"})["id"]
    try:
        for site, one in at.items():
            assert raw("PUT", "%s/r/%s/image/v2/images/%s/file" % (
                HUB, site, one), {"Content-Type": "application/octet-stream"},
                data, tenant.token)[0] == 204
        rig.wait_for(lambda: all(is_hashed(one) for one in at.values()), 30,
                     "the view knows the copies")
        yield at
    finally:
        for site, one in at.items():
            tenant.ask(site, "image", "/v2/images/" + one, method="DELETE")


def is_hashed(one):
    items = rig.get("/api/v1/images?max_age=3600&limit=1000").items()
    return any(row["id"] == one and row.get("os_hash_value") for row in items)


def test_a_copy_of_the_image(shop, healed):
    """Asked for by the id it has at one site, made of the other site's own;
    the client goes on seeing the id that it sent, over a restart too."""
    with copies(shop) as at, server(
            shop, "global", flavorRef="m1.nano", imageRef=at["hkg"],
            availability_zone="lon", networks="none", version="2.37") as one:
        here = shop.good("global", "compute", "/v2.1/servers/" + one)
        own = shop.good("lon", "compute", "/v2.1/servers/" + one)
        assert own["server"]["image"]["id"] == at["lon"]
        assert here["server"]["image"]["id"] == at["hkg"]
        listed = next(row for row in shop.rows("global", "servers")
                      if row["id"] == one)
        assert listed["image"]["id"] == at["hkg"]
        rig.hub().kill()
        rig.demo("start", "hub")
        rig.wait_for(lambda: rig.present() == rig.SITES, 30, "all sites")
        here = shop.good("global", "compute", "/v2.1/servers/" + one)
        assert here["server"]["image"]["id"] == at["hkg"]


def test_a_resize_names_its_flavor(shop):
    with server(shop, "global", flavorRef="m1.nano", availability_zone="lon",
                imageRef=image(shop, "lon"), networks="none",
                version="2.37") as one:
        active(shop, one)
        path = "/v2.1/servers/%s/action" % one
        assert shop.ask("global", "compute", path, method="POST", body={
            "resize": {"flavorRef": "m1.micro"}})[0] == 202
        rig.wait_for(lambda: shop.good(
            "global", "compute", "/v2.1/servers/" + one)["server"]["status"]
            == "VERIFY_RESIZE", 90, "the server is resized")
        row = shop.good("global", "compute", "/v2.1/servers/" + one)["server"]
        assert row["flavor"]["id"] == "m1.micro"


def test_networks_and_what_hangs_on_them(shop):
    made = shop.good("global", "network", "/v2.0/networks", method="POST",
                     body={"network": {"name": "made", "admin_state_up": True,
                                       "availability_zone_hints": ["lon"]}})
    net = made["network"]["id"]
    try:
        assert shop.ask("lon", "network", "/v2.0/networks/" + net)[0] == 200
        subnet = shop.good(
            "global", "network", "/v2.0/subnets", method="POST",
            body={"subnet": {"network_id": net, "ip_version": 4,
                             "cidr": "10.99.0.0/24"}})["subnet"]
        assert subnet["tenant_id"] == shop.project
        port = shop.good("global", "network", "/v2.0/ports", method="POST",
                         body={"port": {"network_id": net}})["port"]
        assert shop.ask("lon", "network",
                        "/v2.0/ports/" + port["id"])[0] == 200
        renamed = shop.good("global", "network", "/v2.0/ports/" + port["id"],
                            method="PUT", body={"port": {"name": "renamed"}})
        assert renamed["port"]["name"] == "renamed"
        assert shop.ask("global", "network", "/v2.0/ports/" + port["id"],
                        method="DELETE")[0] == 204
    finally:
        assert shop.ask("global", "network", "/v2.0/networks/" + net,
                        method="DELETE")[0] == 204


def test_volumes(shop):
    made = shop.good("global", "volume", "/v3/{project}/volumes",
                     method="POST", body={"volume": {
                         "size": 1, "name": "made",
                         "availability_zone": "lon"}})["volume"]
    path = "/v3/{project}/volumes/" + made["id"]
    assert made["availability_zone"] == "lon"
    assert shop.ask("lon", "volume", path)[0] == 200
    rig.wait_for(lambda: shop.good("global", "volume", path)["volume"][
        "status"] == "available", 60, "the volume is there")
    assert shop.ask("global", "volume", path, method="DELETE")[0] == 202
    rig.wait_for(lambda: shop.ask("global", "volume", path)[0] == 404, 60,
                 "the volume is gone")


def test_an_image_up_and_down(shop):
    made = shop.good("global", "image", "/v2/images", method="POST",
                     body={"name": "made", "disk_format": "raw",
                           "container_format": "bare"})
    path = "/v2/images/%s" % made["id"]
    data = uuid.uuid4().bytes * (1 << 17)  # 2 MiB: over what is looked into.
    url = "%s/r/global/image%s/file" % (HUB, path)
    try:
        assert raw("PUT", url, {"Content-Type": "application/octet-stream"},
                   data, shop.token)[0] == 204
        status, _, got = raw("GET", url, None, None, shop.token)
        assert status == 200 and got == data
        status, headers, got = raw("GET", url, {"Range": "bytes=5-9"}, None,
                                   shop.token)
        assert status == 206 and got == data[5:10]
    finally:
        assert shop.ask("global", "image", path, method="DELETE")[0] == 204


def test_a_key_pair_is_one_at_all_sites(shop):
    name = "made-" + uuid.uuid4().hex[:8]
    made = shop.good("global", "compute", "/v2.1/os-keypairs", method="POST",
                     body={"keypair": {"name": name}})["keypair"]
    path = "/v2.1/os-keypairs/" + name
    assert "PRIVATE KEY" in made["private_key"]
    assert shop.good("global", "compute", path)["keypair"]["fingerprint"] == \
        made["fingerprint"]
    for site in SITES:
        assert shop.good(site, "compute", path)["keypair"]["fingerprint"] == \
            made["fingerprint"]
    listed = shop.good("global", "compute", "/v2.1/os-keypairs")["keypairs"]
    assert [row["keypair"]["name"] for row in listed].count(name) == 1
    assert shop.ask("global", "compute", path, method="DELETE")[0] == 202
    for site in ["global", *SITES]:
        assert shop.ask(site, "compute", path)[0] == 404


# ------------------------------------------------------------ a site is away


def test_no_row_is_missing(shop, healed):
    kinds = [kind for kind in LISTS if kind != "subnets"]
    before = {kind: ids(shop.rows("global", kind)) for kind in kinds}
    own = ids(shop.rows("lon", "servers"))
    shop.good("global", "compute", "/v2.1/os-availability-zone")
    rig.demo("kill", "lon")
    rig.wait_for(lambda: "lon" not in rig.present(), 20, "lon is absent")
    for kind in kinds:
        assert ids(shop.rows("global", kind)) == before[kind], kind
    rows = shop.rows("global", "servers")
    for row in rows:
        assert (row["status"] == "UNKNOWN") == (row["id"] in own)
    assert ids(shop.rows("lon", "servers")) == own
    zones = shop.good("global", "compute",
                      "/v2.1/os-availability-zone")["availabilityZoneInfo"]
    assert [(z["zoneName"], z["zoneState"]["available"]) for z in zones] == \
        [("hkg", True), ("lon", False)]
    status, headers, _ = shop.ask("global", "compute", "/v2.1/servers/detail")
    assert headers["X-Isthmus-Sites"] == "hkg=ok, lon=stale"
    for row in rows:  # And no admin's members among a tenant's.
        assert not [name for name in row if "SRV-ATTR" in name]


def test_shown_and_not_changed(shop, healed):
    own = {kind: shop.rows("lon", kind)[0]["id"] for kind in LISTS
           if kind != "snapshots"}
    rig.demo("kill", "lon")
    rig.wait_for(lambda: "lon" not in rig.present(), 20, "lon is absent")
    for kind, one in own.items():
        service, path, _, _ = LISTS[kind]
        path = path.removesuffix("/detail") + "/" + one
        for region in ("global", "lon"):
            status, headers, body = shop.ask(region, service, path)
            assert status == 200, (kind, region, body)
            assert headers["X-Isthmus-Sites"] == "lon=stale"
            status, headers, body = shop.ask(region, service, path,
                                             method="DELETE")
            assert status == 503 and headers["Retry-After"], (kind, body)
            assert "lon" in json.dumps(body) and "Nothing was done" in \
                json.dumps(body)
    # Absence cannot be shown while one site cannot be asked.
    nobody = "/v2.1/servers/" + str(uuid.uuid4())
    status, _, body = shop.ask("global", "compute", nobody)
    assert status == 503 and "lon" in body["serviceUnavailable"]["message"]
    assert shop.ask("global", "compute", "/v2.1/servers/web-1")[0] == 404


def test_pages_go_on_over_a_site_that_goes(shop, healed):
    wanted = ids(shop.rows("global", "servers"))
    got = ids(shop.rows("global", "servers", "?limit=2"))
    rig.demo("kill", "lon")
    rig.wait_for(lambda: "lon" not in rig.present(), 20, "lon is absent")
    while len(got) < len(wanted):
        more = ids(shop.rows("global", "servers",
                             "?limit=2&marker=" + got[-1]))
        assert more
        got += more
    assert got == wanted


# -------------------------------------------------------------------- clients


@pytest.mark.parametrize("words,columns", [
    (["server", "list", "--long"], {"ID", "Name", "Status"}),
    (["volume", "list"], {"ID", "Name"}), (["image", "list"], {"ID", "Name"}),
    (["network", "list"], {"ID", "Name"}), (["flavor", "list"], {"Name"}),
    (["availability", "zone", "list"], {"Zone Name"}),
    (["keypair", "list"], {"Name"}), (["quota", "show"], None),
    (["limits", "show", "--absolute"], None)])
def test_openstack_client(shop, words, columns):
    body = told(*words, region="global")
    assert body
    if columns:
        assert columns <= set(body[0])
    if words[0] == "server":
        assert {row["Availability Zone"] for row in body} == set(SITES)
        assert [row["ID"] for row in body] == \
            ids(shop.rows("global", "servers"))


def test_openstack_client_makes_a_server(shop):
    name = "made-" + uuid.uuid4().hex[:8]
    made = told("server", "create", "--flavor", "m1.nano", "--image",
                image(shop, "lon"), "--nic", "none", "--availability-zone",
                "lon", "--os-compute-api-version", "2.37", "--wait", name,
                region="global", timeout=300)
    try:
        shown = told("server", "show", name, region="global")
        assert shown["id"] == made["id"] and shown["status"] == "ACTIVE"
    finally:
        assert openstack("server", "delete", "--wait", name,
                         region="global").returncode == 0


def test_a_token_is_needed():
    status, headers, text = raw("GET",
                                HUB + "/r/global/compute/v2.1/servers/detail")
    assert status == 401 and json.loads(text)["error"]["code"] == 401
    assert HUB in headers["WWW-Authenticate"]


def test_latency(shop, figure):
    """A merged list costs little more than the slowest site's own."""
    took = {}
    for region in ["global", *SITES]:
        times = []
        for _ in range(20):
            start = time.monotonic()
            shop.rows(region, "servers")
            times.append(time.monotonic() - start)
        took[region] = sorted(times)[10] * 1000
    figure("p50 of a list of servers: " + ", ".join(
        "%s %.0f ms" % each for each in took.items()))
    assert took["global"] < 3 * max(took[site] for site in SITES) + 100


