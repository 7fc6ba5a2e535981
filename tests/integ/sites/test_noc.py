"""The door of the bus: a reader that 'isthmus-hub noc add' made, with a client
of another make, sees every event of the log, signed by the hub."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time

import pika
import pytest

import bus
import rig
from test_events import events, last
from test_feed import Maker

PAGE = os.path.join(rig.REPO, "deploy/man/isthmus-events.7")
CHANGES = 200 if rig.FULL else 40


def noc(*words, status=0):
    done = subprocess.run(
        [os.path.join(rig.BIN, "isthmus-hub"), "noc", *words, "--state",
         rig.HUB], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=120, check=False)
    assert done.returncode == status, done.stdout
    return done.stdout.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = str(tmp_path_factory.mktemp("noc") / "desk")
    ctl = os.path.join(rig.BUS, "rabbitmqctl")
    noc("add", "desk", "--out", where, "--rabbitmqctl", ctl)
    yield where
    noc("remove", "desk", "--rabbitmqctl", ctl)


def example():
    """The program in the manual page, to the letter."""
    with open(PAGE, encoding="utf-8") as page:
        blocks = re.findall(r"^\.Bd -literal\n(.*?)^\.Ed$", page.read(),
                            re.S | re.M)
    assert len(blocks) == 1
    return blocks[0].replace("\\e", "\\")


def checker():
    """check(headers, body) of the example: raises for a false signature."""
    names = {}
    text = example()
    begin, end = text.index("highest = "), text.index("def on_message")
    exec("import base64, sys\n"  # pylint: disable=exec-used
         "from cryptography.hazmat.primitives.asymmetric import ed25519\n" +
         text[begin:end], names)
    return names


class Console(threading.Thread):
    """Follows the stream by its offset, through every loss of the broker."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder = folder
        self.names = checker()
        from cryptography.hazmat.primitives import serialization
        with open(folder + "/hub.pem", "rb") as pem:
            self.names["root"] = serialization.load_pem_public_key(pem.read())
        self.offset, self.ids, self.keys, self.problem = "next", [], [], None
        self.ready, self.over = threading.Event(), threading.Event()
        self.n_connects = 0
        self.start()

    def on_message(self, channel, method, properties, body):
        self.names["check"](properties.headers, body)
        assert properties.content_type == "application/cloudevents-batch+json"
        batch = json.loads(body)
        assert 0 < len(batch) <= 64
        assert len({event["site"] for event in batch}) == 1
        words = method.routing_key.split(".")
        assert len(words) == 5 and words[0] == batch[0]["site"]
        for word, get in zip(words[1:], [
                lambda event: event["data"]["service"],
                lambda event: event["data"]["kind"],
                lambda event: event["data"]["action"],
                lambda event: event["severity"]]):
            have = {get(event) for event in batch}
            assert word == (have.pop() or "_" if len(have) == 1 else "_")
        self.ids += [event["id"] for event in batch]
        self.keys.append(method.routing_key)
        self.offset = properties.headers["x-stream-offset"] + 1
        channel.basic_ack(method.delivery_tag)

    def run(self):
        while not self.over.is_set():
            try:
                self.follow()
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.3)
            except Exception as problem:  # pylint: disable=broad-except
                self.problem = problem
                return

    def follow(self):
        connection = bus.connect(self.folder + "/cert.pem",
                                 self.folder + "/key.pem")
        channel = connection.channel()
        channel.basic_qos(prefetch_count=50)
        channel.basic_consume("noc.stream", self.on_message,
                              arguments={"x-stream-offset": self.offset})
        self.n_connects += 1
        self.ready.set()
        while not self.over.is_set():
            connection.process_data_events(0.2)
        connection.close()

    def stop(self):
        self.over.set()
        self.join(20)
        if self.problem:
            raise self.problem


@contextlib.contextmanager
def console(folder):
    one = Console(folder)
    assert one.ready.wait(20)
    time.sleep(0.5)  # "next" counts from when the broker has it.
    try:
        yield one
    finally:
        one.stop()


def make_changes(clouds, n, pause=lambda i: None):
    makers = [Maker(one) for one in clouds.values()]
    made = [(maker, maker.network()) for maker in makers]
    for i in range(n):
        maker, identity = made[i % len(made)]
        maker.rename("networks", identity)
        pause(i)
    for maker, identity in made:
        maker.delete("networks", identity)
    return {identity for _, identity in made}


def wait_for_deletes(start, made):
    def gone():
        have = set()
        place = start
        while True:
            page = events(after=place, kind="network", limit=1000).json()
            have |= {event["data"]["id"] for event in page["items"]
                     if event["data"]["action"] == "deleted"}
            if len(page["items"]) < 1000:
                return made <= have
            place = page["last"]
    rig.wait_for(gone, 90, "the last of the events", 0.3)


def logged(start):
    """All ids of the log behind that place."""
    page = events(after=start, limit=1000).json()
    assert len(page["items"]) < 1000
    return [event["id"] for event in page["items"]]


def test_a_console_sees_the_log(folder, clouds, figure):
    with console(folder) as one:
        start = last()
        made = make_changes(clouds, CHANGES)
        wait_for_deletes(start, made)
        want = logged(start)
        rig.wait_for(lambda: one.problem or set(want) <= set(one.ids), 20,
                     "the console to see all")
    seen = [identity for identity in one.ids if identity in set(want)]
    assert len(seen) == len(set(seen)), "twice without an outage"
    for site in [*rig.SITES, "hub"]:
        assert ([i for i in seen if i.startswith(site + ":")] ==
                [i for i in want if i.startswith(site + ":")])
    figure("%d events in %d messages, every signature good" % (
        len(seen), len(one.keys)))


@pytest.mark.usefixtures("healed")
def test_nothing_is_missing_after_kills(folder, clouds, figure):
    """Of the broker and of the hub: what was not confirmed comes again."""
    def pause(i):
        if i == CHANGES // 3:
            rig.broker().kill()
            rig.demo()
        if i == 2 * CHANGES // 3:
            rig.hub().kill()
            rig.demo()

    with console(folder) as one:
        start = last()
        made = make_changes(clouds, CHANGES, pause)
        rig.heal()
        wait_for_deletes(start, made)
        want = logged(start)
        rig.wait_for(lambda: one.problem or set(want) <= set(one.ids), 60,
                     "the console to see all", 0.3)
    assert one.n_connects >= 2
    first = list(dict.fromkeys(one.ids))
    for site in [*rig.SITES, "hub"]:
        mine = [i for i in want if i.startswith(site + ":")]
        assert [i for i in first if i in set(mine)] == mine
    figure("%d events over a killed broker and a killed hub, %d came twice"
           % (len(want), len(one.ids) - len(first)))


def test_the_example_of_the_manual(folder, clouds):
    program = os.path.join(folder, "example.py")
    with open(program, "w", encoding="utf-8") as file:
        file.write(example())
    running = subprocess.Popen(
        ["/usr/bin/python3", program, folder], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    lines = []
    reader = threading.Thread(
        target=lambda: lines.extend(iter(running.stdout.readline, b"")),
        daemon=True)
    reader.start()
    try:
        made = make_changes(clouds, 1)
        rig.wait_for(lambda: running.poll() is not None or
                     sum(b".network.deleted." in line for line in lines) >=
                     len(made), 60, "the example to print the deletes")
    finally:
        running.kill()
        complaint = running.stderr.read().decode()
    assert running.returncode in (None, -9), complaint


def test_a_false_signature_is_told():
    """The example's own check is not one that always says yes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ed25519

    names = checker()
    key = ed25519.Ed25519PrivateKey.generate()
    kind, body = b"application/x", b"[]"
    good = key.sign(b"ISTHMUSv1 13 application/x 2 []")
    names["verify"](key.public_key(), good, kind, body)
    with pytest.raises(InvalidSignature):
        names["verify"](key.public_key(), good, kind, b"[ ]")
    with pytest.raises(InvalidSignature):
        names["verify"](key.public_key(), good, b"application/y", body)


def watched(folder, *words):
    done = rig.cli("watch", "--bus", folder, "-f", "json", "--since", "oldest",
                   "--until", "0s", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_watch_from_the_bus(folder, clouds):
    start = last()
    made = make_changes(clouds, 6)
    wait_for_deletes(start, made)
    want = logged(start)
    rig.wait_for(lambda: set(want) <= {event["id"] for event
                                       in watched(folder)[0]}, 30,
                 "the stream to have all", 0.3)
    ids = [event["id"] for event in watched(folder)[0]]
    assert len(ids) == len(set(ids))
    assert [i for i in ids if i in set(want)] == want
    only, _ = watched(folder, "--site", "lon", "--type", "network.*",
                      "--severity", "info")
    assert only and {(event["site"], event["data"]["kind"])
                     for event in only} == {("lon", "network")}


def test_what_is_not_the_hubs_is_left_out(folder):
    """Whoever may write there without the hub's keys is not believed."""
    event = {"specversion": "1.0", "id": "hkg:1:1", "site": "hkg",
             "type": "io.isthmus.forged.made.v1"}
    before = watched(folder)[1].count("not signed")
    with bus.as_hub() as channel:
        for headers in ({}, {"isthmus-signature": "AAAA",
                             "isthmus-delegation": "AAAA"}):
            channel.basic_publish(
                "x.noc", "hkg.x.forged.made.info", json.dumps([event]).encode(),
                pika.BasicProperties(headers=headers))
    rig.wait_for(lambda: watched(folder)[1].count("not signed") ==
                 before + 2, 20, "both to be told", 0.3)
    assert not [event for event in watched(folder)[0]
                if "forged" in event["type"]]


@pytest.mark.parametrize("words, status", [
    (["--bus", "/nowhere"], 2), (["--since", "soon"], 2),
    (["--until", "soon"], 2), (["-f", "yaml"], 2)])
def test_watch_says_what_is_wrong(folder, words, status):
    given = words if "--bus" in words else ["--bus", folder, *words]
    done = rig.cli("watch", *given)
    assert done.returncode == status, done.stderr
    assert done.stderr


def test_a_removed_reader_is_out(tmp_path):
    where = str(tmp_path / "night")
    ctl = os.path.join(rig.BUS, "rabbitmqctl")
    noc("add", "night", "--out", where, "--rabbitmqctl", ctl)
    bus.connect(where + "/cert.pem", where + "/key.pem").close()
    assert "night" in noc("list")
    noc("remove", "night", "--rabbitmqctl", ctl)
    assert "night" not in noc("list")
    with pytest.raises(pika.exceptions.AMQPError):
        bus.connect(where + "/cert.pem", where + "/key.pem")
    shutil.rmtree(where)
