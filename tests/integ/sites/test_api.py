"""The API is what its OpenAPI document says, seen on real answers."""

import json
import os

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
        DOCUMENT, {"$ref": "#/components/schemas/SiteBase"}, {})) == 10


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
                                    "volume"] for site in sites)


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
