"""The API is what its OpenAPI document says, seen on real answers."""

import json
import os
import subprocess

import pytest

import rig
import schema

DOCUMENT = json.loads(rig.read(rig.REPO, "hub/api/openapi.json"))
KINDS = DOCUMENT["components"]["schemas"]["Kind"]["enum"]


def check(answer, path, method="get"):
    """Status, media type, headers and body, against the document."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    status = str(answer.status)
    assert status in responses, "%s is not documented for %s" % (status, path)
    described = responses[status]
    if "$ref" in described:
        described = DOCUMENT["components"]["responses"][
            described["$ref"].rpartition("/")[2]]
    media = answer.type.partition(";")[0].strip()
    assert media in described["content"], (media, path)
    if media != "text/plain":
        assert schema.complaints(DOCUMENT, described["content"][media][
            "schema"], answer.json()) == []
    for name, header in described.get("headers", {}).items():
        if "$ref" in header:
            header = DOCUMENT["components"]["headers"][
                header["$ref"].rpartition("/")[2]]
        if header.get("required"):
            assert name in answer.headers
    return answer


def test_validator_can_fail():
    part = {"$ref": "#/components/schemas/SiteAnswer"}
    good = {"site": "lon", "state": "answered", "age_ms": 0, "latency_ms": 1,
            "reason": None}
    assert schema.complaints(DOCUMENT, part, good) == []
    for name, value in [("site", "LON"), ("state", "gone"), ("age_ms", -1),
                        ("latency_ms", None), ("latency_ms", True),
                        ("reason", 3)]:
        assert len(schema.complaints(DOCUMENT, part, dict(
            good, **{name: value}))) == 1, name
    del good["reason"]
    assert schema.complaints(DOCUMENT, part, good) == [
        "answer has no 'reason'"]
    assert len(schema.complaints(
        DOCUMENT, {"$ref": "#/components/schemas/SiteBase"}, {})) == len(
            DOCUMENT["components"]["schemas"]["SiteBase"]["required"])


def test_document_is_served_as_it_is():
    answer = rig.get("/api/openapi.json", auth=False)
    with open(os.path.join(rig.REPO, "hub/api/openapi.json"), "rb") as file:
        assert answer.body == file.read()
    check(answer, "/api/openapi.json")
    assert answer.headers["Cache-Control"] == "max-age=300"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics",
                                  "/api/v1/version"])
def test_open_paths(path):
    answer = check(rig.get(path, auth=False), path)
    assert answer.status == 200


def test_all_other_paths_are_closed():
    """Every path of the document that does not say it is open."""
    operations = [(path, method, operation)
                  for path, verbs in DOCUMENT["paths"].items()
                  for method, operation in verbs.items()
                  if method in ("get", "post", "put", "patch", "delete")]
    assert len(operations) > 15
    for path, method, operation in operations:
        if operation.get("security") == []:
            continue
        real = path.replace("{kind}", "servers").replace("{id}", "1").replace(
            "{name}", "lon")
        answer = check(rig.get(real, auth=False, method=method.upper()), path,
                       method)
        assert answer.status == 401, path
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="isthmus"'


def test_sites():
    answer = check(rig.api("sites"), "/api/v1/sites")
    sites = answer.json()["items"]
    assert [site["name"] for site in sites] == rig.SITES
    assert all(site["state"] == "present" for site in sites)
    assert all(site["services"] == ["identity", "compute", "network", "image",
                                    "volume", "placement"] for site in sites)


@pytest.mark.parametrize("site", rig.SITES)
def test_site(site):
    answer = check(rig.api("sites/" + site), "/api/v1/sites/{name}")
    shown = answer.json()
    assert shown["name"] == site and shown["reason"] is None
    assert [part["up"] for part in shown["services"]] == [True] * 5, shown
    versions = {part["name"]: part["max_version"]
                for part in shown["services"]}
    assert versions["compute"] == "2.93"
    assert rig.api("sites/nosuch").status == 404


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind):
    """Listed without any parameter, paged, and shown."""
    answer = check(rig.api(kind), "/api/v1/{kind}")
    assert answer.status == 200, answer.body
    assert answer.answered() == rig.SITES, answer.sites()
    check(rig.api(kind + "?limit=1"), "/api/v1/{kind}")
    for row in answer.items()[:1]:
        if "id" not in row:
            continue
        shown = check(rig.api("%s/%s?site=%s" % (kind, row["id"],
                                                 row["site"])),
                      "/api/v1/{kind}/{id}")
        assert shown.status == 200, shown.body
        assert shown.json()["site"] == row["site"]


def test_every_sort_key():
    """As the document's text lists them, kind by kind."""
    text = DOCUMENT["components"]["parameters"]["sort"]["description"]
    table = text.partition("by kind: ")[2].partition(". Without it")[0]
    rows = dict(row.split(": ") for row in table.split("; "))
    assert set(rows) == set(KINDS)
    for kind, keys in rows.items():
        for key in keys.split(", "):
            for sort in [key, "-" + key]:
                answer = rig.api("%s?limit=1&sort=%s" % (kind, sort))
                assert answer.status == 200, (kind, sort, answer.body)
                assert answer.answered() == rig.SITES, (kind, sort,
                                                        answer.sites())


def test_problems():
    for path, real in [("/api/v1/{kind}", "servers?limit=0"),
                       ("/api/v1/{kind}/{id}", "servers/nosuch"),
                       ("/api/v1/{kind}/{id}", "flavors/1"),
                       ("/api/v1/sites/{name}", "sites/nosuch")]:
        answer = check(rig.api(real), path)
        assert answer.status != 200
    for method in ["POST", "PUT", "DELETE", "PATCH"]:
        answer = rig.api("servers", method=method)
        assert answer.status == 405
        assert answer.problem()["code"] == "method_not_allowed"


def test_request_id_is_kept():
    mine = "req-0b5f4a7e-5c0e-4d6e-9e5d-2f2b8f0e6a11"
    answer = rig.api("servers?limit=0",
                     headers={"X-Openstack-Request-Id": mine})
    assert answer.headers["x-openstack-request-id"] == mine
    assert answer.problem()["instance"] == mine
    other = rig.api("servers?limit=0",
                    headers={"X-Openstack-Request-Id": "req-<script>"})
    assert other.headers["x-openstack-request-id"] != "req-<script>"
    assert "script" not in other.body.decode()


def test_search_says_where_things_are(clouds):
    """By name and by the begin of an address: the same that the API finds."""
    done = rig.cli("search", "web", "-f", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["Site"] for row in rows} >= {"hkg", "lon"}
    assert all(row["Text"].startswith("web") for row in rows)
    ports = rig.api("ports?limit=5&site=lon").json()["items"]
    address = ports[0]["fixed_ips"][0]["ip_address"]
    done = rig.cli("search", address, "-f", "value", "-c", "ID")
    assert ports[0]["id"] in done.stdout.split()
    done = rig.cli("search", "web", "--limit", "1", "-f", "value")
    assert len(done.stdout.splitlines()) == 1
    done = rig.cli("search", "no-such-thing-anywhere")
    assert done.returncode == 0 and "Nothing" in done.stderr


@pytest.mark.parametrize("words, status", [
    ((), 2), (("a", "b"), 2), (("w",), 1), (("web", "--limit", "501"), 2),
    (("web", "--site", "lon"), 2)])
def test_search_refuses(words, status):
    assert rig.cli("search", *words).returncode == status


@pytest.mark.usefixtures("healed")
def test_top_draws_the_sites():
    done = rig.cli("top", "-f", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["Site"]: row for row in json.loads(done.stdout)}
    assert sorted(rows) == rig.SITES
    for row in rows.values():
        assert row["State"] == "present"
        assert row["Rows"] > 10
        assert row["Changes/s"] >= 0 and row["Calls/s"] >= 0
    # Calls of others are seen, and one that is dead comes first.
    rig.agent("sjc").kill()
    rig.wait_for(lambda: "sjc" not in rig.present(), 20, "sjc to be missed")
    running = subprocess.Popen(
        [os.path.join(rig.BIN, "isthmus"), "top", "--count", "2",
         "--interval", "1s"], stdout=subprocess.PIPE,
        env=dict(os.environ, ISTHMUS_CACERT=rig.CA, ISTHMUS_TOKEN=rig.token(),
                 ISTHMUS_URL="https://localhost:%d" % rig.PORT))
    for _ in range(10):
        rig.api("servers?site=lon&limit=1")
    text = running.communicate(timeout=30)[0].decode()
    frames = text.split("sites, 2 present")
    assert len(frames) == 3, text
    for frame in frames[1:]:
        lines = frame.splitlines()
        assert lines[1].split()[0] == "Site"
        assert lines[2].split()[:2] == ["sjc", "absent"]
    assert "critical" in text.splitlines()[0]
    before = {row["Site"]: row["Latency (ms)"] for row in rows.values()}
    assert before["lon"] is None or before["lon"] >= 0


@pytest.mark.parametrize("words", [("x",), ("--interval", "1ms"),
                                   ("--count", "0"), ("-f", "shell"),
                                   ("--limit", "3")])
def test_top_refuses(words):
    assert rig.cli("top", *words).returncode == 2
