"""The site keeps the last word, and changes its mind without a restart."""

import pytest

import rig

pytestmark = pytest.mark.usefixtures("healed")

NO_IMAGES = """mode: active
rules:
  - {deny: read, what: image}
  - {allow: read, what: "*"}
"""


def lon(kind):
    return rig.api(kind).sites()["lon"]


def test_denied_kind():
    pid = rig.agent("lon").pid()
    rig.set_policy("lon", NO_IMAGES)
    rig.wait_for(lambda: lon("images")["state"] == "failed", 10, "the denial")
    part = lon("images")
    assert "policy" in part["reason"] and "allow" in part["reason"], part
    assert part["latency_ms"] < 1000 * rig.SLACK
    # The others' images, and its own servers, are there.
    answer = rig.api("images")
    assert answer.answered() == ["hkg", "sjc"]
    assert {row["site"] for row in answer.items()} == {"hkg", "sjc"}
    assert rig.api("servers").answered() == rig.SITES
    image = rig.api("images?site=hkg").items()[0]["id"]
    assert rig.api("images/%s?site=hkg" % image).status == 200
    # What it has is not told either: perhaps it is there.
    assert rig.api("images/nosuch").status == 503
    done = rig.cli("image", "list", "-f", "value", "-c", "Name")
    assert done.returncode == 5
    assert "lon" in done.stderr and "policy" in done.stderr
    assert rig.agent("lon").pid() == pid
    rig.set_policy("lon", rig.DEMO_POLICY)
    rig.wait_for(lambda: lon("images")["state"] == "answered", 10, "images")


@pytest.mark.parametrize("mode,answered", [("frozen", False),
                                           ("read-only", True)])
def test_modes(mode, answered):
    """And the sites' list says so."""
    rig.set_policy("lon", 'mode: %s\nrules:\n  - {allow: read, what: "*"}\n'
                   % mode)

    def told():
        return next(site["policy_mode"] for site in rig.api("sites").items()
                    if site["name"] == "lon")

    rig.wait_for(lambda: told() == mode, 10, "the mode to be told")
    assert (lon("servers")["state"] == "answered") == answered
    assert rig.present() == rig.SITES
    listed = rig.cli("site", "list", "-f", "value", "-c", "Policy Mode",
                     "--sort-column", "Name").stdout.split()
    assert listed == ["active", mode, "active"]


@pytest.mark.parametrize("text", [
    "", "mode: active\nrules:\n  - {allow: raed, what: '*'}\n",
    "mode: actve\nrules: []\n", "rules: 3\n", "\0\1\2", "{", "- a\n- b\n",
    "mode: active\nrules:\n  - {allow: read, what: imag}\n",
    "mode: active\nmode: frozen\nrules: []\n", "a: &a [*a]\n"])
def test_bad_file_keeps_the_old_one(text):
    """The denial that was in force stays in force."""
    pid = rig.agent("lon").pid()
    rig.set_policy("lon", NO_IMAGES)
    rig.wait_for(lambda: lon("images")["state"] == "failed", 10, "the denial")
    log = rig.DEMO + "/log/agent-lon.log"
    before = rig.read(log).count("the old policy stays in force")
    rig.set_policy("lon", text)
    rig.wait_for(lambda: rig.read(log).count(
        "the old policy stays in force") == before + 1, 10, "the complaint")
    assert lon("images")["state"] == "failed"
    assert lon("servers")["state"] == "answered"
    assert rig.agent("lon").pid() == pid


def test_no_rule_no_right():
    """What is not listed is refused."""
    rig.set_policy("lon", "mode: active\nrules:\n"
                   "  - {allow: read, what: [server, network]}\n")
    rig.wait_for(lambda: lon("images")["state"] == "failed", 10, "the denial")
    for kind in ["volumes", "projects", "flavors", "ports"]:
        assert lon(kind)["state"] == "failed", kind
    for kind in ["servers", "networks"]:
        assert lon(kind)["state"] == "answered", kind
