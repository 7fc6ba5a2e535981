"""Sites that share one Keystone: the hub's users act there with their own
tokens and roles. A second agent on hkg's OpenStack is the second site."""

import contextlib
import json
import os
import shutil
import signal
import subprocess

import pytest

import rig
from test_identity import by, keystone, login, password, regions_of, token

TWIN = "twin"
HOME = rig.DEMO + "/agent-twin"
PROGRAMS = os.path.join(rig.BUILD, "release/bin")
CTL = os.path.join(rig.BUS, "rabbitmqctl")


def run(program, *words):
    done = subprocess.run([os.path.join(PROGRAMS, program), *words],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stdout.decode()


def enrol():
    bundle, answer = HOME + "/site.bundle", HOME + "/hub.bundle"
    run("isthmus-agent", "keys", "--state", HOME, "--site", TWIN, "--out",
        bundle)
    run("isthmus-hub", "site", "add", TWIN, bundle, "--state", rig.HUB,
        "--out", answer, "--rabbitmqctl", CTL)
    run("isthmus-agent", "keys", "--state", HOME, "--import", answer)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def running(name, program, config):
    """In place of the demo's own, which comes back by itself afterwards."""
    with open(rig.DEMO + "/log/%s.log" % name, "ab") as log:
        process = subprocess.Popen(
            [os.path.join(PROGRAMS, program), "run", "--config", config],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def running_with(config):
    """The daemon that was started with it; None: there is none."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = rig.read("/proc", pid, "cmdline").split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if os.path.join(HOME, config) in words:
            return int(pid)
    return None


@pytest.fixture(scope="module")
def twins():
    """hkg and its twin, both with passthrough; a hub that knows of it."""
    shutil.rmtree(HOME, ignore_errors=True)
    os.makedirs(HOME, 0o700)
    conf = rig.read(rig.DEMO, "agent-hkg/agent.yaml")
    conf = conf.replace("cloud: site-hkg,",
                        "cloud: site-hkg, passthrough: true,")
    write(HOME + "/hkg.yaml", conf)
    write(HOME + "/agent.yaml", "site: {name: %s}\nstate: %s\n"
          "openstack: {cloud: site-hkg, clouds: %s/clouds.yaml, "
          "passthrough: true}\npolicy: %s/policy.yaml\n"
          % (TWIN, HOME, rig.DEMO, HOME))
    write(HOME + "/policy.yaml", rig.DEMO_POLICY)
    write(HOME + "/hub.yaml", rig.read(rig.DEMO, "hub.yaml").replace(
        "facade: {", 'facade: {passthrough: "hkg,%s", ' % TWIN))
    try:
        enrol()
        rig.hub().kill()
        rig.agent("hkg").kill()
        with running("hub", "isthmus-hub", HOME + "/hub.yaml"), \
                running("agent-hkg", "isthmus-agent", HOME + "/hkg.yaml"), \
                running("agent-twin", "isthmus-agent", HOME + "/agent.yaml"):
            rig.wait_for(lambda: rig.present() == sorted([*rig.SITES, TWIN]),
                         60, "the twins to be there")
            yield
    finally:
        run("isthmus-hub", "site", "remove", TWIN, "--state", rig.HUB,
            "--rabbitmqctl", CTL)
        rig.heal()
        rig.wait_for(lambda: rig.present() == rig.SITES, 60, "the demo")
        shutil.rmtree(HOME, ignore_errors=True)


def user_id(text):
    """Who the site takes him for: the owner of a key pair's page."""
    status, body = by(text, TWIN, "compute", "/v2.1/os-keypairs", "POST",
                      {"keypair": {"name": "own-token"}})
    assert status in (200, 201), body
    assert by(text, TWIN, "compute", "/v2.1/os-keypairs/own-token",
              "DELETE")[0] == 202
    return body["keypair"]["user_id"]


def test_as_himself(twins, clouds):
    """No row of projects.yaml; the rows, rights and id are his own."""
    text, body = token()
    mine = body["project"]["id"]
    assert regions_of(text) >= {"hkg", TWIN, "global"}
    here = clouds["hkg"]
    own = next(row["id"] for row in here.rows("projects")
               if row["name"] == "shop")
    user = next(row for row in here.ask("identity", "/users")["users"]
                if row["name"] == "shop-dev")
    status, answer = by(text, TWIN, "compute", "/v2.1/servers/detail")
    assert status == 200
    wanted = {row["id"] for row in here.rows("servers")
              if row["tenant_id"] == own}
    assert wanted and {row["id"] for row in answer["servers"]} == wanted
    assert {row["tenant_id"] for row in answer["servers"]} == {mine}
    assert own not in json.dumps(answer)
    assert user_id(text) == user["id"]
    status, answer = by(text, TWIN, "network", "/v2.0/security-groups", "POST",
                        {"security_group": {"name": "own-token"}})
    assert status == 201, answer
    group = answer["security_group"]
    assert group["project_id"] == mine
    assert by(text, TWIN, "network", "/v2.0/security-groups/" + group["id"],
              "DELETE")[0] == 204
    # Of all sites: the twins show the same rows, each under its own name.
    status, answer = by(text, "global", "network", "/v2.0/networks")
    assert status == 200 and answer["networks"]


def test_horizons_way(twins):
    """Without a scope first, then by that token for a project."""
    status, headers, _ = login(project=None)
    assert status == 201
    status, headers, body = keystone("POST", "/v3/auth/tokens", {"auth": {
        "identity": {"methods": ["token"], "token": {
            "id": headers["X-Subject-Token"]}},
        "scope": {"project": {"name": "shop", "domain": {"name": "hkg"}}}}})
    assert status == 201, body
    text = headers["X-Subject-Token"]
    assert by(text, TWIN, "compute", "/v2.1/servers")[0] == 200


def test_nothing_is_kept_and_nobody_else_gets_it(twins):
    """Not in hub.db, not in a log, and a site that is not listed asks its own
    projects.yaml."""
    text, _ = token()
    assert by(text, TWIN, "compute", "/v2.1/servers")[0] == 200
    assert by(text, "lon", "compute", "/v2.1/servers")[0] == 200
    places = [rig.HUB + "/hub.db", rig.DEMO + "/log/hub.log",
              rig.DEMO + "/log/agent-hkg.log", rig.DEMO + "/log/agent-twin.log",
              HOME + "/audit.log"]
    for place in places:
        if os.path.exists(place):
            with open(place, "rb") as file:
                content = file.read()
            assert b"gAAAAA" not in content, place  # A Keystone token.
            assert password("hkg", "shop-dev").encode() not in content, place


def test_a_user_of_another_home(twins):
    """lon is not one of them: its users have rows, or nothing."""
    text, _ = token(user="bank-core", site="lon", project="bank")
    assert TWIN not in regions_of(text)
    assert by(text, TWIN, "compute", "/v2.1/servers")[0] == 403


def test_an_application_credential_has_none(twins):
    """It outlives the user's token, and acts by the rows alone."""
    text, body = token()
    status, _, answer = keystone(
        "POST", "/v3/users/%s/application_credentials" % body["user"]["id"],
        {"application_credential": {"name": "own-token"}}, text)
    assert status == 201, answer
    made = answer["application_credential"]
    try:
        status, headers, _ = keystone("POST", "/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["application_credential"],
                         "application_credential": {
                             "id": made["id"], "secret": made["secret"]}}}})
        assert status == 201
        other = headers["X-Subject-Token"]
        assert TWIN not in regions_of(other)
        assert by(other, TWIN, "compute", "/v2.1/servers")[0] == 403
        assert by(other, "hkg", "compute", "/v2.1/servers")[0] == 200
    finally:
        keystone("DELETE", "/v3/users/%s/application_credentials/%s"
                 % (body["user"]["id"], made["id"]), token=text)


def test_the_policy_still_counts(twins):
    write(HOME + "/policy.yaml", "mode: active\nrules:\n"
          "  - {deny: read, what: keypair}\n  - {allow: read, what: '*'}\n")
    pid = running_with("agent.yaml")
    try:
        os.kill(pid, signal.SIGHUP)
        text, _ = token()
        rig.wait_for(lambda: by(text, TWIN, "compute", "/v2.1/os-keypairs")[0]
                     == 403, 10, "the policy")
        assert by(text, TWIN, "compute", "/v2.1/servers")[0] == 200
    finally:
        write(HOME + "/policy.yaml", rig.DEMO_POLICY)
        os.kill(pid, signal.SIGHUP)


def test_a_hub_that_restarts(twins):
    """The token that the hub gave is good no longer: clients log in anew, and
    are not told that they may not."""
    text, _ = token()
    assert by(text, TWIN, "compute", "/v2.1/servers")[0] == 200
    os.kill(running_with("hub.yaml"), signal.SIGKILL)
    rig.wait_for(lambda: not running_with("hub.yaml"), 20, "the hub to die")
    with running("hub", "isthmus-hub", HOME + "/hub.yaml"):
        rig.wait_for(lambda: TWIN in rig.present(), 60, "the hub")
        assert by(text, TWIN, "compute", "/v2.1/servers")[0] == 401
        text, _ = token()
        assert by(text, TWIN, "compute", "/v2.1/servers")[0] == 200
