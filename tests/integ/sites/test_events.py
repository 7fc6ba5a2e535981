"""Watchers of the stream of events: whoever follows sees every event once, cut
off or not, and a stalled one delays nobody."""

import json
import random
import re
import socket
import threading
import time
import urllib.parse

import pytest

import rig
from test_feed import Maker

CHANGES = 300 if rig.FULL else 60


@pytest.fixture
def makers(clouds):
    return {site: Maker(one) for site, one in clouds.items()}


def events(**query):
    return rig.api("events?" + urllib.parse.urlencode(query))


def last():
    return events(limit=1).json()["last"] or 0


def opened(path, headers=(), size=0):
    """A raw connection that has asked: what comes is the test's to read, or
    not."""
    plain = socket.create_connection(("localhost", rig.PORT), timeout=30)
    if size:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    connection = rig.tls().wrap_socket(plain, server_hostname="localhost")
    lines = ["GET /api/v1/%s HTTP/1.1" % path, "Host: localhost",
             "Authorization: Bearer " + rig.token(), *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


class Cut(threading.Thread):
    """Server-Sent Events, cut off at random and taken up with
    Last-Event-ID."""

    def __init__(self, start, cuts):
        super().__init__(daemon=True)
        self.place, self.cuts, self.n_cut = start, cuts, 0
        self.seen = []
        self.over = threading.Event()
        self.rnd = random.Random(5)
        self.start()

    def run(self):
        while not self.over.is_set():
            connection = opened("events/stream?kind=network",
                                ["Last-Event-ID: %d" % self.place])
            connection.settimeout(0.2)
            self.follow(connection)
            connection.close()

    def follow(self, connection):
        text, end = b"", time.monotonic() + self.rnd.uniform(0.02, 0.25)
        while not self.over.is_set():
            if self.n_cut < self.cuts and time.monotonic() > end:
                self.n_cut += 1
                return
            try:
                piece = connection.recv(65536)
            except (socket.timeout, TimeoutError):
                continue
            if not piece:
                return
            text += piece
            # Whole events only: what is cut in two comes again.
            for match in re.finditer(rb"id: (\d+)\nevent: ([^\n]*)\ndata: "
                                     rb"([^\n]*)\n\n", text):
                self.place = int(match[1])
                assert match[2] != b"gap"
                self.seen.append(json.loads(match[3])["id"])
            text = text[text.rfind(b"\n\n") + 2:] if b"\n\n" in text else text


def test_every_watcher_sees_every_event_once(makers, figure):
    start = last()
    cut = Cut(start, 100 if rig.FULL else 30)
    begun = time.monotonic()
    stalled = opened("events/stream?from=oldest", size=4096)
    made = [(maker, maker.network()) for maker in makers.values()]
    for i in range(CHANGES):
        maker, identity = made[i % len(made)]
        maker.rename("networks", identity)
    for maker, identity in made:
        maker.delete("networks", identity)
    told = lambda: [event for event in events(  # noqa: E731
        after=start, kind="network", limit=1000).json()["items"]
                    if event["data"]["id"] in {one for _, one in made}]
    rig.wait_for(lambda: sum(event["data"]["action"] == "deleted"
                             for event in told()) == len(made), 60,
                 "the last of the events", 0.2)
    want = [event["id"] for event in events(
        after=start, kind="network", limit=1000).json()["items"]]
    rig.wait_for(lambda: len(cut.seen) >= len(want), 60,
                 "the one that is cut off to see all")
    rig.wait_for(lambda: cut.n_cut >= cut.cuts, 60, "all cuts")
    cut.over.set()
    cut.join(10)
    assert cut.seen == want
    assert len(set(want)) == len(want)
    numbers = {}
    for event in events(after=start, limit=1000).json()["items"]:
        key = event["origin"], event["epoch"]
        number = int(event["sequence"])
        assert number == numbers.get(key, number - 1) + 1, event
        numbers[key] = number
    done = rig.cli("watch", "--kind", "network", "-f", "json", "--until", "0s",
                   "--since", "%ds" % (time.monotonic() - begun + 5))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert lines[len(lines) - len(want):] == want
    stalled.close()
    figure("%d events, %d cuts: each seen once, by SSE and by 'isthmus watch'"
           % (len(want), cut.n_cut))


@pytest.mark.parametrize("place", ["x", "-1", "1e3", "", "99999999999999",
                                   "18446744073709551616"])
def test_a_place_that_is_none_is_refused(place):
    answer = rig.api("events/stream", headers={"Last-Event-ID": place or " "})
    assert answer.status == 400, answer.body
    assert answer.problem()["code"] == "bad_parameter"


@pytest.mark.usefixtures("healed")
def test_a_dead_agent_is_told_within_seconds(figure):
    """The list of sites, the stream and the log agree."""
    start = last()
    rig.agent("sjc").kill()
    begun = time.monotonic()
    rig.wait_for(lambda: any(
        event["site"] == "sjc" and event["data"]["action"] == "unreachable"
        for event in events(after=start, kind="site").json()["items"]), 15,
        "the stream to say so", 0.1)
    told = time.monotonic() - begun
    assert "sjc" not in rig.present()
    rig.demo("start", "sjc", "agent")
    begun = time.monotonic()
    rig.wait_for(lambda: any(
        event["site"] == "sjc" and event["data"]["action"] == "reachable"
        for event in events(after=start, kind="site").json()["items"]), 15,
        "the stream to say that it is back", 0.1)
    figure("told after %.1f s, back after %.1f s" % (
        told, time.monotonic() - begun))
