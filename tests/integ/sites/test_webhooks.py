"""Webhooks: a receiver that fails at random is told every event, in order,
signed; one that is gone is given up, which is an alarm."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import threading
import time

import pytest

import rig
from test_api import check
from test_events import events, last
from test_noc import make_changes, noc, wait_for_deletes, watched

CTL = os.path.join(rig.BUS, "rabbitmqctl")
ACTION = {True: "reachable", False: "unreachable"}


class Receiver:
    """On this machine; answers what 'answer' says, and keeps what it took."""

    def __init__(self, answer=lambda n: 204):
        self.answer, self.tries, self.taken = answer, [], []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answer(len(receiver.tries))
                receiver.tries.append((time.monotonic(), dict(self.headers),
                                       body, status))
                if status is None:  # No answer, and the connection is cut.
                    self.close_connection = True
                    return
                if 200 <= status < 300:
                    receiver.taken.append((dict(self.headers), body))
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location",
                                     receiver.url.replace("/hook", "/other"))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.url = "http://127.0.0.1:%d/hook" % self.server.server_port
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def ids(self):
        return [event["id"] for _, body in self.taken
                for event in as_list(json.loads(body))]


def as_list(value):
    return value if isinstance(value, list) else [value]


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def hooks():
    """hooks(**want): makes one, which is deleted afterwards."""
    made = []

    def make(status=201, **want):
        answer = rig.api("webhooks", method="POST",
                         body=json.dumps(want).encode())
        assert answer.status == status, answer.body
        check(answer, "/api/v1/webhooks", "post")
        if status == 201:
            made.append(answer.json()["id"])
        return answer
    yield make
    for identity in made:
        rig.api("webhooks/" + identity, method="DELETE")


def show(identity):
    answer = rig.api("webhooks/" + identity)
    check(answer, "/api/v1/webhooks/{id}")
    return answer.json()


def order(identity, deed, status=200):
    answer = rig.api("webhooks/%s/%s" % (identity, deed), method="POST",
                     body=b"")
    assert answer.status == status, answer.body
    check(answer, "/api/v1/webhooks/{id}/" + deed, "post")
    return answer.json()


def signatures(secret, headers, body):
    key = base64.b64decode(secret[len("whsec_"):])
    text = b".".join([headers["webhook-id"].encode(),
                      headers["webhook-timestamp"].encode(), body])
    mac = hmac.new(key, text, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode()


@pytest.mark.parametrize("batch", [1, 20])
def test_all_events_in_order(receiver, hooks, clouds, figure, batch):
    """Though some requests are refused, cut off, or answered late."""
    failures = {2: 500, 5: None, 6: 302}
    receiver.answer = lambda n: failures.get(n, 204)
    hook = hooks(url=receiver.url, kind="network", batch=batch).json()
    start = last()
    made = make_changes(clouds, 12)
    wait_for_deletes(start, made)
    # Enough for the failures even in batches.
    for _ in range(5 if batch > 1 else 0):
        made = make_changes(clouds, 1)
        wait_for_deletes(start, made)
        time.sleep(6)
    want = [event["id"] for event in events(after=start, kind="network",
                                            limit=1000).json()["items"]]
    rig.wait_for(lambda: len(receiver.ids()) >= len(want), 120,
                 "the receiver to be told all", 0.3)
    assert receiver.ids() == want
    for headers, body in receiver.taken:
        assert signatures(hook["secret"], headers, body) in \
            headers["webhook-signature"].split(" ")
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 300
        assert headers["Content-Type"] == (
            "application/cloudevents-batch+json" if batch > 1 else
            "application/cloudevents+json")
        assert len(as_list(json.loads(body))) <= batch
    # Sent again: the same id, the same bytes.
    for at, (_, headers, body, status) in enumerate(receiver.tries[:-1]):
        again = receiver.tries[at + 1]
        if status != 204:
            assert again[1]["webhook-id"] == headers["webhook-id"]
            assert again[2] == body
            assert again[0] - receiver.tries[at][0] > 3
    seen = show(hook["id"])
    assert seen["state"] == "active" and seen["failing_since"] is None
    assert seen["failures"] == sum(one[3] != 204 for one in receiver.tries)
    assert "secret" not in seen
    figure("batch %d: %d events in %d requests, %d of them not taken" % (
        batch, len(want), len(receiver.tries), seen["failures"]))


def test_it_goes_on_after_a_kill_of_the_hub(receiver, hooks, clouds):
    hooks(url=receiver.url, kind="network")
    start = last()
    made = make_changes(clouds, 4)
    rig.hub().kill()
    rig.demo()
    wait_for_deletes(start, made | make_changes(clouds, 2))
    want = [event["id"] for event in events(after=start, kind="network",
                                            limit=1000).json()["items"]]
    rig.wait_for(lambda: set(want) <= set(receiver.ids()), 60,
                 "the receiver to be told all", 0.3)
    assert list(dict.fromkeys(receiver.ids())) == want


def alarm_of(identity):
    items = rig.api("alarms?type=webhook-dead&state=all").json()["items"]
    return next((alarm for alarm in items if alarm["object"] == identity),
                None)


def test_one_that_is_gone_is_an_alarm(receiver, hooks, clouds):
    receiver.answer = lambda n: 410
    hook = hooks(url=receiver.url, kind="network").json()
    start = last()
    make_changes(clouds, 1)
    rig.wait_for(lambda: show(hook["id"])["state"] == "disabled", 30,
                 "the webhook to be disabled", 0.2)
    assert "410" in show(hook["id"])["reason"]
    rig.wait_for(lambda: alarm_of(hook["id"]), 10, "the alarm", 0.2)
    assert alarm_of(hook["id"])["state"] == "open"
    assert len(receiver.tries) == 1
    receiver.answer = lambda n: 204
    assert order(hook["id"], "enable")["state"] == "active"
    rig.wait_for(lambda: receiver.ids(), 20, "it to go on", 0.2)
    first = events(after=start, kind="network", limit=1).json()["items"][0]
    assert receiver.ids()[0] == first["id"]
    rig.wait_for(lambda: alarm_of(hook["id"])["state"] == "cleared", 10,
                 "the alarm to be cleared", 0.2)


def test_two_signatures_after_a_rotation(receiver, hooks, clouds):
    hook = hooks(url=receiver.url, kind="network").json()
    new = order(hook["id"], "rotate")["secret"]
    assert new != hook["secret"]
    make_changes(clouds, 1)
    rig.wait_for(lambda: receiver.taken, 30, "a delivery", 0.2)
    headers, body = receiver.taken[0]
    assert headers["webhook-signature"].split(" ") == [
        signatures(new, headers, body),
        signatures(hook["secret"], headers, body)]


def test_a_secret_of_ones_own(receiver, hooks, clouds):
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    assert hooks(url=receiver.url, kind="network",
                 secret=secret).json()["secret"] == secret
    make_changes(clouds, 1)
    rig.wait_for(lambda: receiver.taken, 30, "a delivery", 0.2)
    headers, body = receiver.taken[0]
    assert headers["webhook-signature"] == signatures(secret, headers, body)


@pytest.mark.parametrize("want, member", [
    ({}, "url"),
    ({"url": 7}, "url"),
    ({"url": "hooks.example.net"}, "url"),
    ({"url": "ftp://hooks.example.net/"}, "url"),
    ({"url": "https://u:p@hooks.example.net/"}, "url"),
    ({"url": "https://169.254.169.254/latest/meta-data"}, "url"),
    ({"url": "https://10.0.0.1/"}, "url"),
    ({"url": "https://[fe80::1]/"}, "url"),
    ({"url": "https://[::1]/"}, "url"),
    ({"url": "https://a.example/" + "x" * 1024}, "url"),
    ({"url": "https://a.example/\n"}, "url"),
    ({"url": "https://a.example/", "batch": 0}, "batch"),
    ({"url": "https://a.example/", "batch": 101}, "batch"),
    ({"url": "https://a.example/", "batch": "1"}, "batch"),
    ({"url": "https://a.example/", "severity": "loud"}, "severity"),
    ({"url": "https://a.example/", "secret": "s3cret"}, "secret"),
    ({"url": "https://a.example/", "colour": "red"}, "colour"),
    ({"url": "https://a.example/", "description": "x" * 256}, "description"),
    ({"url": "https://a.example/", "site": "x" * 2000}, "site"),
])
def test_what_cannot_be(hooks, want, member):
    problem = hooks(status=400, **want).problem()
    assert member in problem["detail"]
    assert "s3cret" not in json.dumps(problem)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff",
                                  b'{"url":"https://a/","url":"https://b/"}',
                                  b"[" * 5000])
def test_what_is_no_object(body):
    answer = rig.api("webhooks", method="POST", body=body)
    assert answer.status == 400 and answer.problem()


@pytest.mark.parametrize("identity", ["0", "x", "999999999", "-1",
                                      "18446744073709551616"])
def test_none_of_that_id(identity):
    for method, path in [("GET", ""), ("DELETE", ""), ("POST", "/enable"),
                         ("POST", "/rotate")]:
        answer = rig.api("webhooks/" + identity + path, method=method,
                         body=b"" if method == "POST" else None)
        assert answer.status == 404 and answer.problem()


def test_one_is_deleted(receiver, hooks, clouds):
    hook = hooks(url=receiver.url, kind="network").json()
    assert hook["id"] in [one["id"] for one in
                          rig.api("webhooks").json()["items"]]
    assert rig.api("webhooks/" + hook["id"], method="DELETE").status == 204
    assert rig.api("webhooks/" + hook["id"]).status == 404
    assert rig.api("webhooks/" + hook["id"], method="DELETE").status == 404
    start = last()
    made = make_changes(clouds, 1)
    wait_for_deletes(start, made)
    assert not receiver.tries


def site_events(action, ids):
    return [event for event in ids if event["site"] == "sjc" and
            event["data"]["action"] == action]


@pytest.mark.usefixtures("healed")
def test_all_doors_agree_on_a_dead_agent(receiver, hooks, figure, tmp_path):
    """The list of sites, the log, a webhook, the stream on the bus, metrics."""
    folder = str(tmp_path / "desk")
    noc("add", "doors", "--out", folder, "--rabbitmqctl", CTL)
    hooks(url=receiver.url, kind="site")
    start = last()

    def told():
        return [event for _, body in receiver.taken
                for event in as_list(json.loads(body))]

    doors = {
        "site list": lambda up: ("sjc" in rig.present()) == up,
        "log": lambda up: site_events(ACTION[up], events(
            after=start, kind="site").json()["items"]),
        "webhook": lambda up: site_events(ACTION[up], told()),
        "bus": lambda up: [event for event in watched(folder)[0]
                           if event["data"].get("kind") == "site" and
                           event["id"] in {one["id"] for one in told()} and
                           site_events(ACTION[up], [event])],
        "metrics": lambda up: rig.metrics()[
            'isthmus_hub_site_up{site="sjc"}'] == up,
    }
    try:
        for up in (False, True):
            if up:
                rig.demo("start", "sjc", "agent")
            else:
                rig.agent("sjc").kill()
            begun, took = time.monotonic(), {}
            for name, agrees in doors.items():
                rig.wait_for(lambda agrees=agrees, up=up: agrees(up), 15,
                             "%s to say %s" % (name, ACTION[up]), 0.1)
                took[name] = time.monotonic() - begun
            assert max(took.values()) <= 15
            figure("%s: %s" % (ACTION[up], ", ".join(
                "%s %.1f s" % one for one in took.items())))
    finally:
        noc("remove", "doors", "--rabbitmqctl", CTL)
