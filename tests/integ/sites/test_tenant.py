"""Users at the native API, by the token that they log in with: tenants read what
is their project's, the NOC everything, and only what roles.yaml says makes
anybody more than a tenant."""

import json
import os
import subprocess

import pytest

import rig
from test_global import LISTS, Tenant, ids
from test_identity import password
from test_relay import raw

SITES = ["hkg", "lon"]


def ask(text, path, method="GET", body=None):
    headers = {"Authorization": "Bearer " + text}
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    status, headers, text = raw(
        method, "https://localhost:%d/api/v1%s" % (rig.PORT, path), headers,
        body)
    return status, json.loads(text)


@pytest.fixture(scope="module")
def shop():
    return Tenant()


@pytest.fixture(scope="module")
def noc():
    return Tenant(user="lab-admin", site="sjc", project="lab")


@pytest.mark.parametrize("kind", LISTS)
def test_a_tenants_lists(shop, kind):
    """What each site shows his project, and nobody else's; no admin's
    members, the hub's ids and links."""
    status, body = ask(shop.token, "/%s?limit=1000" % kind)
    assert status == 200
    assert {site["site"] for site in body["sites"]} == set(SITES)
    for site in SITES:
        rows = [row for row in body["items"] if row["site"] == site]
        assert sorted(ids(rows)) == sorted(ids(shop.rows(site, kind)))
    for row in body["items"]:
        assert not [name for name in row if name in (
            "OS-EXT-SRV-ATTR:host", "os-vol-host-attr:host") or
            name.startswith(("provider:", "binding:host"))]
        assert row.get("tenant_id", shop.project) == shop.project or \
            kind in ("networks", "subnets")


def test_pages_and_filters(shop):
    everything = ask(shop.token, "/servers?sort=name")[1]["items"]
    got, path = [], "/servers?sort=name&limit=2"
    while path:
        body = ask(shop.token, path)[1]
        got += ids(body["items"])
        path = body["next"] and body["next"].removeprefix("/api/v1")
    assert got == ids(everything) and len(got) > 4
    own = ask(shop.token, "/servers?sort=name&project=" + shop.project)[1]
    assert ids(own["items"]) == ids(everything)
    assert ask(shop.token, "/servers?project=" + 32 * "0")[1]["items"] == []
    body = ask(shop.token, "/servers?site=lon")[1]
    assert {row["site"] for row in body["items"]} == {"lon"}
    # A site where his project does not act is as if it were not there.
    assert ask(shop.token, "/servers?site=sjc")[1]["items"] == []


def test_one_object(shop, clouds):
    own = shop.rows("lon", "servers")[0]["id"]
    status, body = ask(shop.token, "/servers/" + own)
    assert status == 200 and body["id"] == own and body["site"] == "lon"
    another = next(row for row in clouds["hkg"].rows("servers")
                   if row["name"] not in
                   {row["name"] for row in shop.rows("hkg", "servers")})["id"]
    nobody = "11111111-2222-3333-4444-555555555555"
    answers = [ask(shop.token, "/servers/" + one) for one in (another, nobody)]
    assert answers[0][0] == answers[1][0] == 404
    assert answers[0][1]["detail"].replace(another, "ID") == \
        answers[1][1]["detail"].replace(nobody, "ID")


@pytest.mark.parametrize("path", [
    "/hypervisors", "/compute-services", "/projects", "/quotas", "/keypairs",
    "/servers?max_age=10", "/servers?consistent=true", "/sites", "/events",
    "/alarms", "/webhooks", "/search?q=web", "/requests/req-x"])
def test_not_for_tenants(shop, path):
    status, body = ask(shop.token, path)
    assert status == 403 and body["code"] == "forbidden"


def test_the_noc_reads_all(noc):
    rows = rig.get("/api/v1/servers?limit=1000").json()["items"]
    assert ids(ask(noc.token, "/servers?limit=1000")[1]["items"]) == ids(rows)
    for path in ("/sites", "/alarms", "/events", "/hypervisors",
                 "/servers?max_age=10", "/search?q=web"):
        assert ask(noc.token, path)[0] == 200, path
    assert ask(noc.token, "/webhooks")[0] == 403
    assert ask(noc.token, "/webhooks", "POST", {})[0] == 403
    # At the sites he is what his project is there.
    status, _, body = noc.ask("hkg", "compute", "/v2.1/servers")
    assert status == 403 and "projects.yaml" in body["forbidden"]["message"]


def test_no_token_and_a_bad_one():
    assert ask("isg_" + 43 * "x", "/servers")[0] == 401
    status, body = raw("GET", "https://localhost:%d/api/v1/servers"
                       % rig.PORT)[::2]
    assert status == 401 and json.loads(body)["code"] == "unauthorized"


def test_what_a_site_reports_makes_nobody_more(shop):
    """Whatever roles his own site gives him: here he is a tenant."""
    assert ask(shop.token, "/sites")[0] == 403


# ------------------------------------------------------------------- the CLI


def isthmus(home, *words, **variables):
    """In a shell of its own: no token, a home of its own."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), **variables}
    return subprocess.run([rig.BIN + "/isthmus", *words], env=env, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60)


CLOUD = {"OS_CLOUD": "isthmus",
         "OS_CLIENT_CONFIG_FILE": rig.DEMO + "/clouds.yaml"}


def rows(done):
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_commands_log_in_by_themselves(shop, tmp_path):
    done = isthmus(tmp_path, "server", "list", "-f", "json", **CLOUD)
    assert sorted(row["ID"] for row in rows(done)) == sorted(
        one for site in SITES for one in ids(shop.rows(site, "servers")))
    assert not os.listdir(tmp_path)


def test_variables(shop, tmp_path):
    account = {
        "OS_AUTH_URL": "https://localhost:%d/identity/v3" % rig.PORT,
        "OS_CACERT": rig.DEMO + "/ca.pem", "OS_USERNAME": "shop-dev",
        "OS_USER_DOMAIN_NAME": "hkg", "OS_PROJECT_NAME": "shop",
        "OS_PROJECT_DOMAIN_NAME": "hkg",
        "OS_PASSWORD": password("hkg", "shop-dev")}
    assert rows(isthmus(tmp_path, "volume", "list", "-f", "json", **account))
    wrong = isthmus(tmp_path, "server", "list", "--debug",
                    **{**account, "OS_PASSWORD": "canary-not-shown"})
    assert wrong.returncode == 4 and b"does not let you in" in wrong.stderr
    assert b"canary-not-shown" not in wrong.stdout + wrong.stderr
    nobody = isthmus(tmp_path, "server", "list",
                     OS_AUTH_URL=account["OS_AUTH_URL"])
    assert nobody.returncode == 2 and b"OS_USERNAME" in nobody.stderr


def test_login_is_kept(tmp_path):
    done = isthmus(tmp_path, "login", **CLOUD)
    assert done.returncode == 0
    assert b"as shop-dev of hkg, project shop, until 20" in done.stdout
    kept = tmp_path / ".config/isthmus/login.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert rows(isthmus(tmp_path, "network", "list", "-f", "json"))
    denied = isthmus(tmp_path, "hypervisor", "list")
    assert denied.returncode == 4
    # To another hub it does not go.
    elsewhere = isthmus(tmp_path, "server", "list", "--url",
                        "https://127.0.0.1:%d" % rig.PORT)
    assert elsewhere.returncode == 4
    assert isthmus(tmp_path, "logout").returncode == 0
    assert not kept.exists()
    assert isthmus(tmp_path, "server", "list").returncode == 2


def test_login_as_nobody(tmp_path):
    done = isthmus(tmp_path, "login")
    assert done.returncode == 2 and b"OS_CLOUD" in done.stderr
