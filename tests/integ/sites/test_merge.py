"""The merged view is exactly what the sites have: no row lost, doubled or
changed, in one total order, whole and page by page."""

import itertools
import json
import urllib.parse

import pytest

import cloud
import rig

# The sites' seed has some of each.
SEEDED = ["servers", "flavors", "hypervisors", "compute-services",
          "availability-zones", "networks", "subnets", "ports", "routers",
          "security-groups", "floating-ips", "images", "volumes", "snapshots",
          "volume-types", "projects", "quotas", "volume-quotas", "limits",
          "network-quotas"]
# Empty for the admin unless somebody makes one.
BARE = ["keypairs", "server-groups"]


def listed(path):
    answer = rig.api(path)
    assert answer.status == 200, answer.body
    assert answer.answered() == rig.SITES, answer.sites()
    return cloud.exact(answer.body)["items"]


# ------------------------------------------------------------- whole lists


def test_cli_rows_are_the_sites_rows(clouds):
    """`isthmus server list`, row by row."""
    expected = cloud.union(clouds, "servers")
    done = rig.cli("server", "list", "-f", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(expected) >= 20
    assert {row["site"] for row in expected} == set(rig.SITES)
    assert [(row["Site"], row["ID"], row["Name"], row["Status"],
             row["Flavor"]) for row in rows] == [
        (row["site"], row["id"], row["name"], row["status"],
         row["flavor"]["original_name"]) for row in expected]


def test_cli_sorts(clouds):
    """newest first, then site, then id, is what no --sort means"""
    plain = rig.cli("server", "list", "-f", "value", "-c", "ID").stdout
    assert plain.split() == [row["id"] for row in cloud.union(
        clouds, "servers", "-created_at")]
    named = rig.cli("server", "list", "-f", "value", "-c", "ID", "--sort",
                    "name").stdout
    assert named.split() == [row["id"] for row in cloud.union(
        clouds, "servers", "name")]
    assert plain != named


@pytest.mark.parametrize("kind", SEEDED + BARE)
def test_native_objects_unchanged(clouds, kind):
    """Same rows, same order, same members, same values, and 'site'."""
    expected = cloud.union(clouds, kind)
    found = listed(kind + "?limit=1000")
    assert sorted((row["site"], cloud.id_of(kind, row)) for row in found) == \
        sorted((row["site"], cloud.id_of(kind, row)) for row in expected)
    assert cloud.calm(kind, found) == cloud.calm(kind, expected)
    if kind in SEEDED:
        assert {row["site"] for row in found} == set(rig.SITES)


def test_native_bytes_unchanged(clouds):
    """Not only equal when read: the site's own bytes go out."""
    body = rig.api("servers?limit=1000").body
    native = clouds["lon"].request(
        "GET", clouds["lon"].url("compute") + "/servers/detail?all_tenants=1",
        version="compute 2.93")[1]["servers"][0]
    pieces = body.decode().split('{"site":"')
    mine = next(piece for piece in pieces if native["id"] in piece[:200])
    assert mine.startswith('lon","id": "%s"' % native["id"]), mine[:80]


@pytest.mark.parametrize("kind,sort", [
    ("servers", "status,-name"), ("servers", "project,created_at"),
    ("servers", "-updated_at,host,zone,user"), ("servers", "-launched_at"),
    ("flavors", "-ram"), ("flavors", "vcpus,-size"), ("images", "-size,name"),
    ("volumes", "size,name"), ("volumes", "-status,project"),
    ("ports", "network,device"), ("ports", "-status,name"),
    ("subnets", "cidr"), ("projects", "-name"), ("projects", "domain,-status"),
    ("hypervisors", "-state,name"), ("floating-ips", "-name"),
])
def test_sort_keys(clouds, kind, sort):
    found = listed("%s?limit=1000&sort=%s" % (kind, sort))
    expected = cloud.union(clouds, kind, sort)
    assert [(row["site"], cloud.id_of(kind, row)) for row in found] == \
        [(row["site"], cloud.id_of(kind, row)) for row in expected]
    assert len(found) > 2


# ------------------------------------------------------------------ paging


def link_of(answer):
    link = answer.headers.get("Link")
    if link is None:
        return None
    assert link.startswith("<") and link.endswith('>; rel="next"'), link
    return link[1:-len('>; rel="next"')]


def pages(path):
    """Each page's answer, following 'next', which 'Link' must repeat."""
    for _ in range(200):
        answer = rig.get(path)
        assert answer.status == 200, answer.body
        following = answer.json()["next"]
        assert link_of(answer) == following
        yield answer
        if following is None:
            return
        path = following
    raise AssertionError("no end of pages")


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "name",
                                  "-name", "status"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_are_the_union(clouds, sort, limit):
    expected = cloud.union(clouds, "servers", sort)
    found, sizes = [], []
    for answer in pages("/api/v1/servers?sort=%s&limit=%d" % (sort, limit)):
        assert answer.answered() == rig.SITES
        rows = cloud.exact(answer.body)["items"]
        found += rows
        sizes.append(len(rows))
    assert len({(row["site"], row["id"]) for row in found}) == len(found)
    assert found == expected
    full, rest = divmod(len(expected), limit)
    assert sizes == [limit] * full + ([rest] if rest else [])


@pytest.mark.parametrize("kind", ["flavors", "networks", "ports", "images",
                                  "projects", "security-groups"])
def test_pages_of_other_kinds(clouds, kind):
    """Flavors tie in all keys at all sites; projects come in one page from
    Keystone, networks from Neutron by its own marker."""
    found = list(itertools.chain.from_iterable(
        cloud.exact(answer.body)["items"]
        for answer in pages("/api/v1/%s?limit=2&sort=name" % kind)))
    assert found == cloud.union(clouds, kind, "name")


def test_next_keeps_the_query(clouds):
    """Filters and fields hold on every page."""
    rows = [row for row in cloud.union(clouds, "servers", "name")
            if row["site"] in ("hkg", "lon") and row["status"] == "ACTIVE"]
    found = []
    for answer in pages("/api/v1/servers?fields=name,id&site=lon,hkg"
                        "&status=ACTIVE&sort=name&limit=4&deadline=20000"):
        assert answer.answered() == ["hkg", "lon"]
        found += answer.items()
    assert found == [{"site": row["site"], "name": row["name"],
                      "id": row["id"]} for row in rows]
    assert len(found) > 8


def test_pages_while_a_site_dies_and_returns(clouds, healed):
    """Each page is the exact merge, after the marker, of the sites that it
    says have answered; whoever comes back is on the next page."""
    everything = cloud.union(clouds, "servers", "name")

    def after(row, sites):
        at = everything.index(row) + 1 if row else 0
        return [row for row in everything[at:] if row["site"] in sites]

    def page(path, sites):
        answer = rig.get(path)
        rows = cloud.exact(answer.body)["items"]
        assert answer.answered() == sites, answer.sites()
        return rows, answer.json()["next"]

    limit = 5
    two = ["hkg", "sjc"]
    rows, following = page("/api/v1/servers?sort=name&limit=%d&deadline=8000"
                           % limit, rig.SITES)
    assert rows == after(None, rig.SITES)[:limit]
    rig.agent("lon").kill()
    last = rows[-1]
    rows, following = page(following, two)
    assert rows == after(last, two)[:limit]
    last = rows[-1]
    rig.demo("start", "lon", "agent")
    rig.wait_for(lambda: rig.is_answered("servers"), 60, "lon", 0.2)
    rows, following = page(following, rig.SITES)
    assert rows == after(last, rig.SITES)[:limit]
    assert "lon" in {row["site"] for row in after(last, rig.SITES)}


# ----------------------------------------------------------------- filters


def test_filter_site(clouds):
    assert listed_of("servers?site=lon", ["lon"]) == \
        cloud.union(clouds, "servers", sites=["lon"])
    assert listed_of("servers?site=sjc,hkg", ["hkg", "sjc"]) == \
        cloud.union(clouds, "servers", sites=["hkg", "sjc"])


def listed_of(path, sites):
    answer = rig.api(path)
    assert answer.answered() == sites
    assert sorted(answer.sites()) == sites
    return cloud.exact(answer.body)["items"]


@pytest.mark.parametrize("kind,name", [
    ("servers", "web-1"), ("flavors", "m1.large"), ("networks", "public"),
    ("subnets", "shop-net"), ("ports", "web-vip"), ("routers", "shop-router"),
    ("security-groups", "web"), ("images", "debian-12"),
    ("volumes", "db-1-data"), ("snapshots", "build-cache-clean"),
    ("projects", "shop"), ("hypervisors", "lon-compute"),
])
def test_filter_name(clouds, kind, name):
    """Exactly that name: for Nova, 'web-1' alone would be an expression."""
    member = cloud.MEMBERS.get(kind, {}).get("name", "name")
    expected = [row for row in cloud.union(clouds, kind)
                if row[member] == name]
    assert expected, "the seed has one"
    assert listed("%s?name=%s" % (kind, name)) == expected


@pytest.mark.parametrize("name", ["web-", "web.1", "WEB-1", "web-1 ", ".*",
                                  "web-1|web-2", "nosuch", "%", "_eb-1",
                                  "\u4e00", "a,b", "x" * 255])
def test_filter_name_is_no_pattern(name):
    assert listed("servers?name=" + urllib.parse.quote(name, safe="")) == []
    assert listed("volumes?name=" + urllib.parse.quote(name, safe="")) == []


def test_filter_status(clouds):
    servers = cloud.union(clouds, "servers")
    for status in ["ACTIVE", "SHUTOFF", "ACTIVE,SHUTOFF", "NOSUCH"]:
        assert listed("servers?status=" + status) == [
            row for row in servers if row["status"] in status.split(",")]
    volumes = cloud.union(clouds, "volumes")
    for status in ["in-use", "available", "available,in-use"]:
        found = listed("volumes?status=" + status)
        assert found and found == [
            row for row in volumes if row["status"] in status.split(",")]
    for kind in ["ports", "routers", "networks", "floating-ips"]:
        rows = cloud.union(clouds, kind)
        for status in ["DOWN", "ACTIVE", "ACTIVE,DOWN"]:
            assert listed("%s?status=%s" % (kind, status)) == [
                row for row in rows if row["status"] in status.split(",")]


@pytest.mark.parametrize("kind", [
    "servers", "networks", "ports", "routers", "floating-ips", "images",
    "volumes", "snapshots", "hypervisors", "compute-services", "projects",
    "availability-zones"])
@pytest.mark.parametrize("status", ["NOSUCH", "in:x", "\u4e00"])
def test_filter_status_that_nothing_has(kind, status):
    """An empty list, and no site fails for it."""
    assert listed("%s?status=%s" % (kind, urllib.parse.quote(status))) == []


@pytest.mark.parametrize("name", ["in:debian-12,ubuntu-22.04", "neq:x",
                                  "debian:12", "a:b:c"])
def test_filter_name_is_no_operator(name):
    for kind in ["images", "volumes", "networks", "servers"]:
        assert listed("%s?name=%s" % (
            kind, urllib.parse.quote(name, safe=""))) == []


@pytest.mark.parametrize("kind", ["servers", "networks", "ports", "subnets",
                                  "routers", "security-groups",
                                  "floating-ips", "volumes", "snapshots",
                                  "images"])
def test_filter_project(clouds, kind):
    """Project ids are the sites' own: one of hkg and one of lon."""
    member = cloud.MEMBERS.get(kind, {}).get("project", "project_id")
    everything = cloud.union(clouds, kind)
    if kind == "images":
        chosen = [row["owner"] for row in everything][:1]
    else:
        projects = {(row["site"], row["name"]): row["id"]
                    for row in cloud.union(clouds, "projects")}
        chosen = [projects["hkg", "shop"], projects["lon", "bank"]]
    for projects in [chosen, chosen[:1], ["0" * 32]]:
        expected = [row for row in everything if row[member] in projects]
        assert listed("%s?project=%s" % (kind, ",".join(projects))) == expected
    assert any(row[member] in chosen for row in everything)


def test_asking_leaves_no_trace(clouds):
    """Neutron makes a project's default security group when it is asked for
    those of the project: the hub's question must not."""
    stranger = "f" * 32
    before = [clouds[site].rows("security-groups") for site in rig.SITES]
    assert listed("security-groups?project=" + stranger) == []
    after = [clouds[site].rows("security-groups") for site in rig.SITES]
    assert after == before


def test_filters_together(clouds):
    shop = next(row["id"] for row in cloud.union(clouds, "projects")
                if (row["site"], row["name"]) == ("hkg", "shop"))
    found = listed("servers?status=ACTIVE&project=%s&name=web-2" % shop)
    assert found == [row for row in cloud.union(clouds, "servers")
                     if row["tenant_id"] == shop and row["name"] == "web-2"]
    assert len(found) == 1


def test_fields(clouds):
    """Only these, in the order asked for; what a row lacks is left out."""
    rows = cloud.union(clouds, "servers")
    found = listed("servers?fields=status,OS-EXT-SRV-ATTR:host,id,nosuch")
    assert found == [
        {"site": row["site"], "status": row["status"], "id": row["id"],
         "OS-EXT-SRV-ATTR:host": row["OS-EXT-SRV-ATTR:host"]} for row in rows]
    assert list(found[0]) == ["site", "status", "OS-EXT-SRV-ATTR:host", "id"]
    assert listed("servers?fields=site") == [
        {"site": row["site"]} for row in rows]


# -------------------------------------------------------------- one object


@pytest.mark.parametrize("kind", ["servers", "networks", "subnets", "ports",
                                  "routers", "security-groups",
                                  "floating-ips", "images", "volumes",
                                  "snapshots", "projects", "hypervisors"])
def test_show_by_id(clouds, kind):
    """Wherever it is: one of each site."""
    for site in rig.SITES:
        row = next((row for row in clouds[site].rows(kind)), None)
        assert row or kind in ("floating-ips", "snapshots"), site
        if not row:
            continue
        service, path, where = cloud.KINDS[kind]
        one = path.partition("?")[0].replace("/detail", "")
        native = clouds[site].ask(service, "%s/%s" % (
            one, cloud.id_of(kind, row)))
        if kind != "images":
            native = native[where.rstrip("s")]
        answer = rig.api("%s/%s" % (kind, cloud.id_of(kind, row)))
        assert answer.status == 200, answer.body
        assert cloud.exact(answer.body) == dict(native, site=site)


def test_show_with_fields(clouds):
    row = clouds["sjc"].rows("servers")[0]
    answer = rig.api("servers/%s?fields=name,status" % row["id"])
    assert answer.json() == {"site": "sjc", "name": row["name"],
                             "status": row["status"]}


def test_one_id_at_several_sites(clouds):
    """The seed gives flavor 1 to every site: 300, and 'site' decides."""
    answer = rig.api("flavors/1")
    assert answer.status == 300
    choices = answer.json()["choices"]
    assert [choice["site"] for choice in choices] == rig.SITES
    for choice in choices:
        found = rig.get(choice["href"])
        native = clouds[choice["site"]].ask("compute", "/flavors/1")["flavor"]
        assert found.status == 200
        assert cloud.exact(found.body) == dict(native, site=choice["site"])
    answer = rig.api("flavors/1?site=hkg,sjc")
    assert [choice["site"] for choice in answer.json()["choices"]] == \
        ["hkg", "sjc"]


def test_unknown_id_is_404():
    for kind, word in [("servers", "0b5f4a7e-5c0e-4d6e-9e5d-2f2b8f0e6a11"),
                       ("servers", "nosuch"), ("flavors", "nosuch"),
                       ("networks", "nosuch"), ("images", "nosuch"),
                       ("volumes", "nosuch"), ("projects", "nosuch"),
                       ("servers", "%F0%9F%90%9F"), ("servers", "a%20b"),
                       ("servers", "x" * 255)]:
        answer = rig.api("%s/%s" % (kind, word))
        assert answer.status == 404, (kind, word, answer.body)
        assert answer.problem()["code"] == "not_found"
        assert "sites" not in answer.problem()
