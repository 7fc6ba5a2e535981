"""Each site's own API, through the hub: the same bytes but for links; streams
both ways; the site's policy, and its silence, in the service's own words."""

import hashlib
import http.client
import json
import multiprocessing
import os
import re
import subprocess
import threading
import time
import urllib.request

import pytest

import bus
import cloud
import rig

WRITES = """mode: active
rules:
  - {deny: delete, what: volume}
  - {allow: "*", what: "*"}
"""

# Path by service; {id} stands for the first row of the list before it.
READS = {
    "compute": [
        "/", "/v2.1", "/v2.1/", "/v2.1/servers", "/v2.1/servers/detail",
        "/v2.1/servers/detail?all_tenants=1&limit=2",
        "/v2.1/servers/detail?all_tenants=1&sort_key=created_at&sort_dir=asc",
        "/v2.1/servers/nosuch", "/v2.1/flavors/detail", "/v2.1/flavors?limit=1",
        "/v2.1/os-keypairs", "/v2.1/os-hypervisors/detail", "/v2.1/limits",
        "/v2.1/os-availability-zone", "/v2.1/os-server-groups",
        "/v2.1/nosuch", "/v2.1/servers/detail?limit=-1"],
    "network": [
        "/", "/v2.0/networks", "/v2.0/networks?limit=1", "/v2.0/subnets",
        "/v2.0/ports?limit=2&page_reverse=true", "/v2.0/routers",
        "/v2.0/security-groups", "/v2.0/security-group-rules",
        "/v2.0/floatingips", "/v2.0/extensions", "/v2.0/networks/nosuch",
        "/v2.0/networks?fields=id&fields=name", "/v2.0/availability_zones"],
    "image": [
        "/", "/v2/images", "/v2/images?limit=1", "/v2/schemas/image",
        "/v2/images/nosuch", "/v2/images?name=caf%C3%A9",
        "/v2/images?sort=name:asc", "/v2/info/import"],
    "volume": [
        "/", "/v3/", "/v3/{project}/volumes/detail?all_tenants=1",
        "/v3/{project}/volumes?limit=1", "/v3/{project}/types",
        "/v3/{project}/snapshots/detail?all_tenants=1",
        "/v3/{project}/volumes/nosuch", "/v3/{project}/limits"],
}

# What may differ: ids of the exchange, when it was, and how it is framed.
FREE = {"date", "x-openstack-request-id", "x-compute-request-id",
        "x-request-id", "x-isthmus-site-request-id",
        "content-security-policy", "x-content-type-options", "connection", "server",
        "content-length", "transfer-encoding", "keep-alive"}
# Members that say when, or what is there, differently each time.
RESTLESS = re.compile(rb'"(updated_at|updated|state_up_since|uptime|'
                      rb'running_vms|current_workload)": ?("[^"]*"|null|\d+)')


def raw(method, url, headers=None, body=None, token=None, timeout=300):
    request = urllib.request.Request(url, method=method, data=body)
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    if token:
        request.add_header("X-Auth-Token", token)
    handlers = [urllib.request.ProxyHandler({}),
                urllib.request.HTTPSHandler(context=rig.tls())]
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=timeout) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def through(site, service, path, method="GET", **more):
    """By the hub, as its admin."""
    return raw(method, "https://localhost:%d/r/%s/%s%s" % (
        rig.PORT, site, service, path), token=rig.token(), **more)


def base(site_cloud, service):
    """The service's address without version and project."""
    url = site_cloud.url(service)
    return re.sub(r"(/v[0-9.]+(/[0-9a-f]{32})?)?/?$", "", url)


@pytest.fixture
def writes(healed):
    """Sites that let their objects be changed."""
    for site in rig.SITES:
        rig.set_policy(site, WRITES)
    rig.wait_for(lambda: all(through(site, "network", "/v2.0/networks/x",
                                     "DELETE")[0] == 404
                             for site in rig.SITES), 10, "the policies")


# ------------------------------------------------------------------ the same


@pytest.mark.parametrize("site", rig.SITES)
@pytest.mark.parametrize("service", sorted(READS))
def test_transparent(clouds, site, service):
    here = clouds[site]
    ours = "https://localhost:%d/r/%s" % (rig.PORT, site)
    homes = {base(here, name): "%s/%s" % (ours, name) for name in READS}
    for path in READS[service]:
        path = path.format(project=here.project)
        status, headers, body = raw("GET", base(here, service) + path,
                                    {"Accept": "application/json"},
                                    token=here.token)
        by_hub = through(site, service, path,
                         headers={"Accept": "application/json"})
        wanted = body.decode()
        for home, link in homes.items():
            wanted = re.sub(r'("href": ?")%s(?=[/?"])' % re.escape(home),
                            lambda found, link=link: found[1] + link, wanted)
        assert by_hub[0] == status, (path, by_hub)
        assert RESTLESS.sub(b"", by_hub[2]) == \
            RESTLESS.sub(b"", wanted.encode()), path
        assert by_hub[1].get("Content-Type") == headers.get("Content-Type")
        theirs = {name.lower() for name in headers} - FREE
        mine = {name.lower() for name in by_hub[1]} - FREE
        assert mine == theirs, path
        assert by_hub[1]["x-openstack-request-id"].startswith("req-")


def test_many_reads_are_compared():
    assert sum(map(len, READS.values())) * len(rig.SITES) >= 60


def test_links_lead_back(clouds):
    """From page to page, and to each row, without the site's own address."""
    seen, url = set(), "https://localhost:%d/r/hkg/compute/v2.1/servers?" \
        "all_tenants=1&limit=2" % rig.PORT
    while url:
        status, _, body = raw("GET", url, token=rig.token())
        assert status == 200, body
        answer = json.loads(body)
        for row in answer["servers"]:
            assert row["id"] not in seen
            seen.add(row["id"])
            link = next(link["href"] for link in row["links"]
                        if link["rel"] == "self")
            assert raw("GET", link, token=rig.token())[0] == 200
        url = next((link["href"] for link in answer.get("servers_links", [])
                    if link["rel"] == "next"), None)
    assert seen == {row["id"] for row in clouds["hkg"].rows("servers")}


def test_head():
    status, headers, body = through("hkg", "image", "/v2/images", "HEAD")
    assert (status, body) == (405, b"") or (status == 200 and not body)
    assert headers["x-openstack-request-id"]


# -------------------------------------------------------------------- writes


def test_made_changed_and_deleted(writes, clouds):
    request = "req-0f3ab5a0-1234-5678-9abc-def012345678"
    status, headers, body = through(
        "lon", "network", "/v2.0/networks", "POST",
        headers={"Content-Type": "application/json",
                 "X-Openstack-Request-Id": request},
        body=json.dumps({"network": {"name": "by-hub \u00e9"}}).encode())
    assert status == 201, body
    assert headers["x-openstack-request-id"] == request
    network = json.loads(body)["network"]
    path = "/v2.0/networks/" + network["id"]
    try:
        there = clouds["lon"].ask("network", path)["network"]
        assert there["name"] == "by-hub \u00e9"
        status, _, body = through(
            "lon", "network", path, "PUT",
            headers={"Content-Type": "application/json"},
            body=b'{"network": {"description": "changed"}}')
        assert status == 200 and json.loads(body)["network"][
            "description"] == "changed"
    finally:
        status, _, body = through("lon", "network", path, "DELETE")
    assert (status, body) == (204, b"")
    assert through("lon", "network", path)[0] == 404


def test_one_id_from_the_client_to_the_sites_log():
    """Nova writes it before its own; Neutron of this release leaves it out."""
    request = "req-%08x-1234-5678-9abc-def012345678" % (
        time.time_ns() & 0xffffffff)
    _, headers, _ = through("lon", "compute", "/v2.1/limits",
                            headers={"X-Openstack-Request-Id": request})
    assert headers["x-openstack-request-id"] == request
    line = next(line for line in rig.read(
        rig.BUILD, "sites/lon/log/nova-api.log").splitlines()
        if request in line)
    # And the site's own id of the request, which the answer has, too.
    assert headers["X-Isthmus-Site-Request-Id"] in line


def test_a_request_as_a_timeline(healed):
    """By the id that the client sent: which sites it went to, and when."""
    def ask(region):
        request = "req-%08x-1234-5678-9abc-def012345678" % (
            time.time_ns() & 0xffffffff)
        assert through(region, "compute", "/v2.1/servers/detail", headers={
            "X-Openstack-Request-Id": request})[0] == 200
        return rig.get("/api/v1/requests/" + request).json()
    shown = ask("lon")
    assert shown["method"] == "GET" and shown["status"] == 200
    assert shown["path"] == "/r/lon/compute/v2.1/servers/detail"
    assert [call["site"] for call in shown["calls"]] == ["lon"]
    call = shown["calls"][0]
    assert 0 <= call["sent_ms"] <= call["first_frame_ms"] <= call["ended_ms"]
    shown = ask("global")
    assert {call["site"] for call in shown["calls"]} == set(rig.SITES)
    assert all(call["reason"] is None for call in shown["calls"])
    with rig.stopped(rig.agent("lon")):
        shown = rig.get("/api/v1/servers?deadline=500")
        shown = rig.get("/api/v1/requests/" + shown.headers["x-request-id"])
        late = [call for call in shown.json()["calls"] if call["reason"]]
        assert [call["site"] for call in late] == ["lon"]
        assert late[0]["first_frame_ms"] is None
    assert rig.get("/api/v1/requests/req-nosuch").status == 404


def test_a_server_to_active_and_away(writes, clouds):
    here = clouds["sjc"]
    flavor = here.rows("flavors")[0]["id"]
    image = here.rows("images")[0]["id"]
    network = next(row["id"] for row in here.rows("networks")
                   if not row["router:external"])
    status, headers, body = through(
        "sjc", "compute", "/v2.1/servers", "POST",
        headers={"Content-Type": "application/json"},
        body=json.dumps({"server": {
            "name": "by-hub", "flavorRef": flavor, "imageRef": image,
            "networks": [{"uuid": network}]}}).encode())
    assert status == 202, body
    server = json.loads(body)["server"]
    assert headers["Location"].startswith(
        "https://localhost:%d/r/sjc/compute/v2.1/servers/" % rig.PORT)
    cloud.wait_status(here, server["id"], "ACTIVE")
    path = "/v2.1/servers/" + server["id"]
    status, _, body = through(
        "sjc", "compute", path + "/action", "POST",
        headers={"Content-Type": "application/json"},
        body=b'{"reboot": {"type": "HARD"}}')
    assert status == 202, body
    assert through("sjc", "compute", path, "DELETE")[0] == 204
    rig.wait_for(lambda: through("sjc", "compute", path)[0] == 404, 60,
                 "the server to go")


# -------------------------------------------------------------------- images


def image_new(site, name):
    status, _, body = through(
        site, "image", "/v2/images", "POST",
        headers={"Content-Type": "application/json"},
        body=json.dumps({"name": name, "disk_format": "raw",
                         "container_format": "bare"}).encode())
    assert status == 201, body
    return json.loads(body)["id"]


def image_of(here, image):
    return here.ask("image", "/v2/images/" + image)


class Noise:
    """Bytes that nothing can compress, the same each time, never all in
    memory."""

    def __init__(self, size, piece=1 << 18):
        self.size, self.piece = size, piece
        self.block = os.urandom(piece)
        self.sha = hashlib.sha512()

    def __iter__(self):
        left = self.size
        while left:
            part = self.block[:min(left, self.piece)]
            self.sha.update(part)
            left -= len(part)
            yield part


def put_image(site, image, noise, chunked=True):
    connection = http.client.HTTPSConnection("localhost", rig.PORT,
                                             context=rig.tls(), timeout=600)
    headers = {"X-Auth-Token": rig.token(),
               "Content-Type": "application/octet-stream"}
    if not chunked:
        headers["Content-Length"] = str(noise.size)
    connection.request("PUT", "/r/%s/image/v2/images/%s/file" % (site, image),
                       body=iter(noise), headers=headers,
                       encode_chunked=chunked)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, text


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("size", [1, 65537, 5 << 20])
def test_image_up_and_down(writes, clouds, size, chunked):
    image = image_new("hkg", "by-hub-%d" % size)
    try:
        noise = Noise(size)
        status, text = put_image("hkg", image, noise, chunked)
        assert status == 204, text
        row = image_of(clouds["hkg"], image)
        assert (row["status"], row["size"]) == ("active", size)
        assert row["os_hash_value"] == noise.sha.hexdigest()
        status, headers, body = through("hkg", "image",
                                        "/v2/images/%s/file" % image)
        # Glance itself says no length here.
        assert status == 200 and headers.get(
            "Content-Length", str(size)) == str(size)
        assert hashlib.sha512(body).hexdigest() == noise.sha.hexdigest()
        if size > 100:
            status, headers, part = through(
                "hkg", "image", "/v2/images/%s/file" % image,
                headers={"Range": "bytes=100-199"})
            assert (status, part) == (206, body[100:200])
    finally:
        through("hkg", "image", "/v2/images/" + image, "DELETE")


def rss(daemon):
    return int(daemon.status("VmRSS")) / 1024


def put_apart(site, image, size, told):
    """In a process of its own, so that it takes no time of ours."""
    noise = Noise(size)
    status = put_image(site, image, noise)[0]
    told.put((status, noise.sha.hexdigest()))


def bulk_messages():
    return rig.metrics()["isthmus_hub_bulk_messages_total"]


@pytest.mark.parametrize("size", [(2 << 30) if rig.FULL else (256 << 20)])
def test_a_large_image_takes_no_memory(writes, clouds, figure, size):
    """And small calls beside it are not held up: it goes on a connection of
    its own, and stands back for them."""
    url = "https://localhost:%d/r/hkg/compute/v2.1/limits" % rig.PORT
    alone = sorted(seconds(url) for _ in range(300))
    image = image_new("hkg", "large")
    times, peak, bulk = [], [0, 0], bulk_messages()
    before = rss(rig.hub()), rss(rig.agent("hkg"))
    told = multiprocessing.Queue()
    worker = multiprocessing.Process(target=put_apart,
                                     args=("hkg", image, size, told))
    try:
        start = time.monotonic()
        worker.start()
        while worker.is_alive():
            if len(times) < 300:
                times.append(seconds(url))
            else:
                time.sleep(0.2)
            peak = [max(peak[0], rss(rig.hub()) - before[0]),
                    max(peak[1], rss(rig.agent("hkg")) - before[1])]
        took = time.monotonic() - start
        status, digest = told.get(timeout=10)
        assert status == 204
        assert image_of(clouds["hkg"], image)["os_hash_value"] == digest
    finally:
        worker.join()
        through("hkg", "image", "/v2/images/" + image, "DELETE")
    times.sort()
    p99 = [1000 * row[len(row) * 99 // 100] for row in (times, alone)]
    figure("%d MiB in %.1f s (%.0f MiB/s); hub +%.0f MiB, agent +%.0f MiB; %d "
           "small calls beside it p50 %.1f ms, p99 %.1f ms, alone %.1f, %.1f"
           % (size >> 20, took, (size >> 20) / took, peak[0], peak[1],
              len(times), 1000 * times[len(times) // 2], p99[0],
              1000 * alone[150], p99[1]))
    assert max(peak) < 64
    assert bulk_messages() - bulk >= size >> 18
    assert p99[0] <= 2 * p99[1] * rig.SLACK


def test_the_way_of_large_bodies(writes):
    """Images go there, both ways, and nothing else does; a body that it broke
    under is not taken for whole, and the next one finds it again."""
    image = image_new("hkg", "apart")
    try:
        before = bulk_messages()
        assert through("hkg", "compute", "/v2.1/servers/detail")[0] == 200
        assert put_image("hkg", image, Noise(100000), False)[0] == 204
        assert bulk_messages() == before
        through("hkg", "image", "/v2/images/" + image, "DELETE")

        image = image_new("hkg", "apart")
        assert put_image("hkg", image, Noise(5 << 20))[0] == 204
        up = bulk_messages()
        assert up - before >= 20
        status, _, body = through("hkg", "image",
                                  "/v2/images/%s/file" % image)
        assert (status, len(body)) == (200, 5 << 20)
        assert bulk_messages() - up >= 20
    finally:
        through("hkg", "image", "/v2/images/" + image, "DELETE")


@pytest.mark.parametrize("whose", ["isthmus-hub h1 bulk",
                                   "isthmus-agent sjc bulk"])
def test_the_way_of_large_bodies_breaks(writes, whose):
    """At sjc, whose agent does without it afterwards, for half a minute."""
    image = image_new("sjc", "broken")
    outcome = []

    def put():
        try:
            outcome.append(put_image("sjc", image, Noise(8 << 30))[0])
        except OSError as error:
            outcome.append(error)

    worker = threading.Thread(target=put)
    worker.start()
    time.sleep(1)
    assert bus.cut(whose) == 1
    worker.join(60 * rig.SLACK)
    assert not worker.is_alive(), "the client hangs"
    assert outcome[0] != 204
    assert through("sjc", "compute", "/v2.1/servers")[0] == 200
    through("sjc", "image", "/v2/images/" + image, "DELETE")
    image = image_new("sjc", "whole")
    try:
        assert put_image("sjc", image, Noise(5 << 20))[0] == 204
    finally:
        through("sjc", "image", "/v2/images/" + image, "DELETE")


def seconds(url):
    start = time.monotonic()
    assert raw("GET", url, token=rig.token())[0] == 200
    return time.monotonic() - start


def test_a_client_that_hangs_up(writes, clouds):
    """The image is as if nothing had been sent, and nothing stays open."""
    image = image_new("hkg", "half")
    try:
        connection = http.client.HTTPSConnection(
            "localhost", rig.PORT, context=rig.tls(), timeout=60)
        connection.putrequest("PUT", "/r/hkg/image/v2/images/%s/file" % image)
        for name, value in {"X-Auth-Token": rig.token(),
                            "Content-Type": "application/octet-stream",
                            "Transfer-Encoding": "chunked"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        for _ in range(40):
            connection.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        rig.wait_for(lambda: image_of(clouds["hkg"], image)["status"] ==
                     "saving", 20, "the upload to begin")
        connection.sock.close()
        connection.close()
        rig.wait_for(lambda: image_of(clouds["hkg"], image)["status"] ==
                     "queued", 30, "the image to be queued again")
    finally:
        through("hkg", "image", "/v2/images/" + image, "DELETE")


# ------------------------------------------------------------------- refused


SHAPES = {"compute": "forbidden", "network": "NeutronError",
          "image": "message", "volume": "forbidden"}


@pytest.mark.parametrize("service,path", [
    ("compute", "/v2.1/servers/x"), ("network", "/v2.0/networks/x"),
    ("image", "/v2/images/x"), ("volume", "/v3/p/volumes/x")])
def test_the_policy_in_the_services_words(service, path):
    """The demo's sites let nothing be changed."""
    status, headers, body = through("lon", service, path, "DELETE")
    assert status == 403, body
    assert headers["Content-Type"] == "application/json"
    answer = json.loads(body)
    assert SHAPES[service] in answer
    assert "policy" in body.decode() and "lon" in body.decode()


def test_one_kind_denied(writes, clouds):
    """By the verb and kind that its path says, whatever else is allowed."""
    for project in [clouds["lon"].project, "abc", "0-0"]:
        status, _, body = through(
            "lon", "volume", "/v3/%s/volumes/x" % project, "DELETE")
        assert status == 403 and b"policy" in body


def test_every_effect_is_in_the_sites_record(writes, clouds):
    """One line for each that was asked for or refused, and none for reads."""
    path = rig.DEMO + "/agent-lon/audit.log"

    def lines():
        try:
            with open(path, encoding="utf-8") as file:
                return [json.loads(line) for line in file]
        except FileNotFoundError:
            return []
    before = len(lines())
    project = clouds["lon"].project
    one = "/v3/%s/volumes/11111111-2222-3333-4444-555555555555" % project
    assert through("lon", "volume", one)[0] == 404
    assert through("lon", "volume", one, "DELETE")[0] == 403
    status, headers, _ = through(
        "lon", "network", "/v2.0/networks/x", "DELETE")
    assert status == 404
    rig.wait_for(lambda: len(lines()) == before + 2, 5, "two lines")
    denied, allowed = lines()[before:]
    assert (denied["verdict"], denied["verb"], denied["kind"]) == \
        ("denied", "delete", "volume")
    assert denied["path"] == one and denied["user"] == "hub/admin"
    assert (allowed["verdict"], allowed["verb"], allowed["kind"]) == \
        ("allowed", "delete", "network")
    assert allowed["request_id"] == headers["x-openstack-request-id"]
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_nobody():
    for token in [None, "x", "x" * 5000]:
        status, headers, body = raw(
            "GET", "https://localhost:%d/r/hkg/compute/v2.1/servers" % rig.PORT,
            token=token)
        assert status == 401, body
        assert headers["WWW-Authenticate"] == \
            'Keystone uri="https://localhost:%d/identity"' % rig.PORT
        assert json.loads(body)["error"]["code"] == 401


@pytest.mark.parametrize("path,status", [
    ("/r/nosuch/compute/v2.1/servers", 404), ("/r/hkg/nosuch/x", 404),
    ("/r/hkg", 404), ("/r/hkg/", 404), ("/r//compute", 400),
    ("/r/hkg/compute/../../api/v1/sites", 400),
    ("/r/hkg/compute/%2e%2e/x", 400), ("/r/hkg/compute//evil/x", 400),
    ("/r/hkg/compute/v2.1/%6fs-keypairs", 400),
    ("/r/hkg/identity/v3/users", 404)])
def test_paths(path, status):
    connection = http.client.HTTPSConnection("localhost", rig.PORT,
                                             context=rig.tls(), timeout=60)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.putheader("X-Auth-Token", rig.token())
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == status, body


def test_identity_headers_stay_here(clouds):
    """Those by which a service behind keystonemiddleware knows its user."""
    status, _, body = through(
        "hkg", "compute", "/v2.1/servers", headers={
            "X-Roles": "reader", "X-Project-Id": "0" * 32,
            "X-User-Id": "0" * 32, "X-Identity-Status": "Confirmed",
            "X-Service-Token": "x", "X-Forwarded-Host": "evil.example.com"})
    assert status == 200 and b"evil" not in body
    assert json.loads(body)["servers"] == [
        {**row, "links": row["links"]} for row in json.loads(body)["servers"]]


# ------------------------------------------------------------------ silences


@pytest.mark.parametrize("body", [
    {"os-getVNCConsole": {"type": "novnc"}},
    {"os-getSerialConsole": {"type": "serial"}}])
def test_consoles_are_not_passed_on(clouds, body):
    """And said so in Nova's words, in a site's region and in global."""
    one = clouds["hkg"].rows("servers")[0]["id"]
    for region in ("hkg", "global"):
        for path, what in (("action", body), ("remote-consoles", {
                "remote_console": {"protocol": "vnc", "type": "novnc"}})):
            status, _, text = through(
                region, "compute", "/v2.1/servers/%s/%s" % (one, path), "POST",
                headers={"Content-Type": "application/json"},
                body=json.dumps(what).encode())
            assert status == 501
            assert json.loads(text)["notImplemented"]["code"] == 501


def test_a_service_that_is_only_passed_on(clouds):
    """Placement: the same versions as at the site, and its own errors."""
    status, _, text = through("hkg", "placement", "/")
    assert status == 200
    assert text == raw("GET", base(clouds["hkg"], "placement") + "/", None,
                       None, clouds["hkg"].token)[2]
    status, _, text = through("hkg", "placement", "/resource_providers")
    assert status == 200 and json.loads(text)["resource_providers"]
    assert through("hkg", "placement", "/nosuch")[0] == 404
    status, _, text = through("global", "placement", "/")
    assert status == 404 and json.loads(text)["errors"][0]["status"] == 404


def test_a_site_that_is_away(healed):
    rig.agent("lon").kill()
    rig.wait_for(lambda: rig.present() == ["hkg", "sjc"], 20, "its absence")
    status, headers, body = through("lon", "compute", "/v2.1/servers/x",
                                    "DELETE")
    assert status == 503 and headers["Retry-After"] == "15"
    message = json.loads(body)["serviceUnavailable"]["message"]
    assert "lon" in message and "heard" in message
    assert through("hkg", "compute", "/v2.1/servers")[0] == 200


def test_an_agent_killed_in_the_middle(writes):
    """The client is cut off, and does not take half for the whole."""
    image = image_new("lon", "cut")
    failed = []

    def put():
        try:
            failed.append(put_image("lon", image, Noise(1 << 30))[0])
        except OSError as error:
            failed.append(error)

    worker = threading.Thread(target=put)
    worker.start()
    time.sleep(1)
    rig.agent("lon").kill()
    worker.join(30)
    assert not worker.is_alive(), "the client hangs"
    assert failed and failed[0] != 204


def test_a_service_that_hangs(healed):
    with rig.stopped(rig.service("sjc", "nova-api")):
        start = time.monotonic()
        assert through("sjc", "network", "/v2.0/networks")[0] == 200
        assert time.monotonic() - start < 2 * rig.SLACK


# ------------------------------------------------------------------- clients


@pytest.mark.parametrize("site", rig.SITES)
def test_openstack_client(clouds, site):
    """python-openstackclient, told the address and the token by hand."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("OS_")}
    done = subprocess.run(
        ["openstack", "--os-auth-type", "admin_token", "--os-endpoint",
         "https://localhost:%d/r/%s/compute/v2.1" % (rig.PORT, site),
         "--os-token", rig.token(), "--os-cacert", rig.CA, "server", "list",
         "--all-projects", "--no-name-lookup", "-f", "json"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
        check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert {row["ID"] for row in json.loads(done.stdout)} == {
        row["id"] for row in clouds[site].rows("servers")}
