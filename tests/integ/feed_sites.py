#!/usr/bin/python3
"""The feed against real OpenStack: a row that is asked for by itself is the row in the list, byte by byte, and what
nobody changed is no news.

    feed_sites.py FEED_DRIVER [CLOUDS_YAML [CLOUD...]]

Every kind of every site is stated, each row touched, and every kind read again: not one change may come of it. Then a
network and an image are made, changed and deleted, known by touches alone. Exit 77 without sites.
"""
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml

DRIVER = sys.argv[1]
CLOUDS = sys.argv[2] if len(sys.argv) > 2 else "build/demo/clouds.yaml"
HOUR = 3600 * 1000
PASSED = FAILED = 0

Entry = collections.namedtuple("Entry", "sequence op kind id action text")


def check(name, good, why=""):
    global PASSED, FAILED
    PASSED, FAILED = PASSED + bool(good), FAILED + (not good)
    if not good:
        print("FAILED %s: %s" % (name, str(why)[:600]))


class Feed:
    """The program, and what it has said."""

    def __init__(self, cloud, state, poll_ms=HOUR):
        self.program = subprocess.Popen([DRIVER, CLOUDS, cloud, state, str(poll_ms)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8")
        self.entries = []

    def order(self, *words):
        self.program.stdin.write(" ".join(words) + "\n")
        self.program.stdin.flush()

    def line(self):
        """The next one that is no entry; entries are kept."""
        while True:
            words = self.program.stdout.readline().rstrip("\n").split("\t")
            assert words != [""], "the driver ended"
            if words[0] != "entry":
                return words
            self.entries.append(Entry(int(words[1]), *words[2:]))

    def settle(self):
        self.order("settle")
        words = self.line()
        assert words == ["settled", "0"], words
        time.sleep(0.1)  # What is in the log is also told.
        self.state()

    def state(self):
        """Kind -> (position, read_ms, trouble)."""
        self.order("state")
        found = {}
        for words in iter(self.line, ["end"]):
            found[words[1]] = (int(words[2]), int(words[3]), words[4])
        return found

    def wait_read(self):
        """Until every kind was read, or cannot be."""
        end = time.monotonic() + 300
        while time.monotonic() < end:
            state = self.state()
            if all(read or trouble for _, read, trouble in state.values()):
                time.sleep(0.1)
                return self.state()
            time.sleep(0.2)
        raise AssertionError("not read: %s" % state)

    def news(self):
        return [entry for entry in self.entries if entry.sequence]

    def close(self):
        self.program.stdin.close()
        for line in self.program.stdout:
            words = line.rstrip("\n").split("\t")
            if words[0] == "entry":
                self.entries.append(Entry(int(words[1]), *words[2:]))
        return self.program.wait(60)


def ask(url, data=None, method=None, **headers):
    request = urllib.request.Request(url, data and json.dumps(data).encode(), dict(headers, **{
        "Content-Type": "application/json", "Accept": "application/json"}), method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        body = answer.read()
        return answer.headers, json.loads(body) if body else None


class Site:
    def __init__(self, entry):
        auth = entry["auth"]
        domain = {"name": auth["user_domain_name"]}
        body = {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": auth["username"], "password": auth["password"], "domain": domain}}},
            "scope": {"project": {"name": auth["project_name"], "domain": domain}}}}
        headers, answer = ask(auth["auth_url"] + "/auth/tokens", body)
        self.token = headers["X-Subject-Token"]
        self.bases = {service["type"]: next(e["url"] for e in service["endpoints"] if e["interface"] == "public")
                      for service in answer["token"]["catalog"]}

    def ask(self, service, path, data=None, method=None, **headers):
        return ask(self.bases[service].rstrip("/") + path, data, method, **{"X-Auth-Token": self.token}, **headers)[1]


def quiet(cloud, feed):
    """What is not changed is no news, whichever way it is seen."""
    state = feed.wait_read()
    rows = [(e.kind, e.id) for e in feed.entries if e.op == "upsert"]
    for kind, (position, _, trouble) in state.items():
        check("%s: %s is read" % (cloud, kind), position >= 2 and not trouble, trouble)
    check(cloud + ": there are rows", len(rows) > 20, len(rows))
    check(cloud + ": the first reading is no news", not feed.news(), feed.news())
    for kind, identity in rows:
        feed.order("touch", kind, identity)
    feed.settle()
    check(cloud + ": a row alone is the row in the list", not feed.news(), feed.news())
    before = feed.state()
    for kind in state:
        feed.order("touch", kind)
    feed.settle()
    check(cloud + ": reading again is no news", not feed.news(), feed.news())
    after = feed.state()
    moved = [kind for kind in after if after[kind][0] != before[kind][0]]
    # How much is used of a limit may change at any time.
    check(cloud + ": nor anything else", set(moved) <= {"limit"}, moved)


def told(feed, kind, identity, since):
    return [e.action for e in feed.news()[since:] if e.kind == kind and e.id == identity]


def made(cloud, site, feed):
    """Made, changed, deleted: told by touches alone."""
    since = len(feed.news())
    network = site.ask("network", "/v2.0/networks", {"network": {"name": "feed-check"}})["network"]["id"]
    image = site.ask("image", "/v2/images", {"name": "feed-check", "disk_format": "raw",
                                             "container_format": "bare"})["id"]
    try:
        for kind, identity in (("network", network), ("image", image)):
            feed.order("touch", kind, identity)
        feed.settle()
        check(cloud + ": made", told(feed, "network", network, since) == ["created"] and
              told(feed, "image", image, since) == ["created"], feed.news()[since:])
        site.ask("network", "/v2.0/networks/" + network, {"network": {"name": "feed-check-2"}}, "PUT")
        feed.order("touch", "network", network)
        feed.settle()
        check(cloud + ": changed", told(feed, "network", network, since)[1:] == ["updated"], feed.news()[since:])
    finally:
        site.ask("network", "/v2.0/networks/" + network, method="DELETE")
        site.ask("image", "/v2/images/" + image, method="DELETE")
    feed.order("touch", "network", network)
    feed.order("touch", "image", image)
    feed.settle()
    check(cloud + ": deleted", told(feed, "network", network, since)[2:] == ["deleted"] and
          told(feed, "image", image, since)[1:] == ["deleted"], feed.news()[since:])


def again(cloud, state, entries):
    """Another start goes on where the last one ended."""
    feed = Feed(cloud, state)
    feed.wait_read()
    kinds = {e.kind for e in feed.entries}
    check(cloud + ": a restart says nothing", kinds <= {"limit"}, feed.entries[:5])
    feed.order("resync", "flavor")
    end = time.monotonic() + 30
    while time.monotonic() < end and not any(e.op == "end" for e in feed.entries):
        time.sleep(0.2)
        feed.state()
    stated = sorted(e.id for e in feed.entries if e.kind == "flavor" and e.op == "upsert")
    check(cloud + ": resync states a kind", stated == sorted(
        {e.id for e in entries if e.kind == "flavor" and e.op == "upsert"}), stated)
    check(cloud + ": in good order", feed.close() == 0)


def main():
    if not pathlib.Path(CLOUDS).exists():
        print("no sites: %s is not there" % CLOUDS)
        return 77
    with open(CLOUDS, encoding="utf-8") as file:
        entries = yaml.safe_load(file)["clouds"]
    for cloud in sys.argv[3:] or [c for c in entries if c.startswith("site-")]:
        try:
            site = Site(entries[cloud])
        except (urllib.error.URLError, OSError) as error:
            print("no sites: %s: %s" % (cloud, error))
            return 77
        with tempfile.TemporaryDirectory(prefix="isthmus-feed-") as state:
            feed = Feed(cloud, state)
            quiet(cloud, feed)
            made(cloud, site, feed)
            check(cloud + ": in good order", feed.close() == 0)
            again(cloud, state, feed.entries)
    print("%d passed, %d failed" % (PASSED, FAILED))
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
