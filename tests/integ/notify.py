#!/usr/bin/python3
"""The agent's ear at a real RabbitMQ that is a site's: oslo's exchanges, oslo's envelope, and a user with no more rights
than the manual asks for.

    notify.py NOTIFY_DRIVER

Every kind of notification is published as a service would; what the ear makes of it must be what the fixtures say. All
the while another program's queue gets all of it, and when the ear is gone nothing of it is left. Exit 77 without
RabbitMQ or pika.
"""
import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

try:
    import pika
except ImportError:
    print("python3-pika is not installed")
    sys.exit(77)

DRIVER = sys.argv[1]
HERE = pathlib.Path(__file__).parent
FIXTURES = HERE.parent / "fake/notifications/events.tsv"
SECRET = "a-token-that-nobody-may-see"
PASSWORD = "pass-word-17"
EXCHANGES = ["nova", "neutron", "openstack", "glance", "keystone"]
PASSED = FAILED = 0

DEFINITIONS = {
    "vhosts": [{"name": "site"}, {"name": "other"}],
    "users": [{"name": "site", "password": "site", "tags": []},
              {"name": "listener", "password": PASSWORD, "tags": []}],
    "permissions": [
        {"user": "site", "vhost": "site", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "site", "vhost": "other", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "listener", "vhost": "site", "configure": "^isthmus-agent-.*", "write": "^isthmus-agent-.*",
         "read": "^(isthmus-agent-.*|nova|neutron|openstack|glance|keystone)$"}]}


def check(name, good, why=""):
    global PASSED, FAILED
    PASSED, FAILED = PASSED + bool(good), FAILED + (not good)
    if not good:
        print("FAILED %s: %s" % (name, str(why)[:800]))


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.1)
    return bool(what())


class Broker:
    def __init__(self, folder):
        self.folder = folder
        definitions = folder / "site.json"
        definitions.write_text(json.dumps(DEFINITIONS))
        self.do("start", "--definitions", str(definitions), "--guests", "true")
        env = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
        self.port = int(env["BUS_PORT"])
        self.ca = folder / "tls/ca.pem"

    def do(self, verb, *arguments):
        return subprocess.run([HERE / "broker", verb, self.folder, *arguments], check=True, encoding="utf-8",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout

    def queues(self, vhost="site"):
        """How many consumers each has."""
        text = self.do("ctl", "-q", "list_queues", "-p", vhost, "--no-table-headers", "name", "consumers")
        return {name: int(n) for name, n in (line.split() for line in text.splitlines() if line.strip())}

    def ours(self, vhost="site"):
        """Queues that the ear listens at."""
        return [name for name, n in self.queues(vhost).items() if n and name.startswith("isthmus-agent-")]


class Site:
    """The services, and another program that wants their notifications."""

    def __init__(self, broker, vhost="site", durable=(), exchanges=EXCHANGES):
        login = pika.PlainCredentials("site", "site")
        self.connection = pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", broker.port + 1, vhost, login, heartbeat=0))
        self.channel = self.connection.channel()
        self.channel.queue_declare("notifications.info")
        for exchange in exchanges:
            self.declare(exchange, exchange in durable)

    def declare(self, exchange, durable=False):
        self.channel.exchange_declare(exchange, "topic", durable=durable)
        self.channel.queue_bind("notifications.info", exchange, "notifications.info")

    def publish(self, exchange, key, body, encoding="utf-8", headers=None):
        self.channel.basic_publish(exchange, key, body, pika.BasicProperties(
            content_type="application/json", content_encoding=encoding, delivery_mode=2, priority=0, headers=headers))

    def waiting(self):
        return self.channel.queue_declare("notifications.info", passive=True).method.message_count


class Ear:
    def __init__(self, folder, url, *arguments):
        path = folder / ("url-%d" % time.monotonic_ns())
        path.touch(0o600)
        path.write_text(url + "\n")
        self.program = subprocess.Popen([DRIVER, path, "hkg", *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.program.stdout:
            self.lines.append(line.rstrip("\n"))

    def touches(self):
        return [":".join(line.split(" ")[1:]) for line in self.lines if line.startswith("touch ")]

    def says(self, text, n=1, seconds=30):
        return until(lambda: sum(text in line for line in self.lines) >= n, seconds)

    def close(self):
        self.program.stdin.close()
        status = self.program.wait(30)
        self.reader.join()
        return status

    def kill(self):
        self.program.send_signal(signal.SIGKILL)
        self.program.wait()
        self.reader.join()


def samples():
    for line in FIXTURES.read_text().splitlines():
        _, exchange, key, touches, message = line.split("\t")
        yield exchange, key, [] if touches == "-" else touches.split(" "), message


def envelope(message):
    return json.dumps({"oslo.version": "2.0", "oslo.message": message})


IMAGE = envelope(json.dumps({"event_type": "image.update", "payload": {"id": "i1"}}))
SERVER = envelope(json.dumps({"event_type": "compute.instance.update", "payload": {"instance_id": "s1"}}))


def publish_all(site):
    expected, n_info = [], 0
    for exchange, key, touches, message in samples():
        site.publish(exchange, key, envelope(message))
        expected += touches
        n_info += key == "notifications.info"
    return expected, n_info


def every_kind(broker, folder, url):
    """Exchanges of both sorts, one of them late; a listener who may do next to nothing."""
    site = Site(broker, durable=("keystone",), exchanges=EXCHANGES[:-2] + ["keystone"])
    ear = Ear(folder, url)
    check("connected", ear.says("connected"))
    check("queues", until(lambda: len(broker.ours()) == 4), broker.ours())
    time.sleep(3)
    site.declare("glance")
    check("the late exchange is found", until(lambda: len(broker.ours()) == 5, 90), ear.lines)
    check("nothing is told without a message", not ear.touches() and not ear.says("notified", seconds=0), ear.lines)
    expected, n_info = publish_all(site)
    check("touches", until(lambda: len(ear.touches()) >= len(expected)), (len(ear.touches()), len(expected)))
    check("as the fixtures say", collections.Counter(ear.touches()) == collections.Counter(expected),
          (collections.Counter(ear.touches()) - collections.Counter(expected),
           collections.Counter(expected) - collections.Counter(ear.touches())))
    for service in ("compute", "network", "volume", "image", "identity"):
        check("told " + service, ear.says("notified %s on" % service, seconds=1), ear.lines)
    check("others lose nothing", site.waiting() == n_info, (site.waiting(), n_info))
    return site, ear


def hostile(site, ear):
    before = len(ear.touches())
    site.publish("glance", "notifications.info", "{" * 100)
    site.publish("glance", "notifications.info", b"\0\xff" * 500)
    site.publish("glance", "notifications.info", "")
    site.publish("glance", "notifications.info", IMAGE, encoding="gzip")
    check("what is encoded may be anything", until(lambda: ear.touches()[before:] == ["image:"]), ear.lines[-5:])
    site.publish("openstack", "notifications.info", " " * (1024 * 1024 + 1))
    check("what is too large may be anything", until(lambda: "volume-quota:" in ear.touches()[before:]),
          ear.lines[-5:])
    site.publish("glance", "notifications.info", IMAGE, headers={"a": {"b": [1, 2, "c"]}})
    check("and goes on", until(lambda: ear.touches()[-1] == "image:i1"), ear.lines[-5:])


def goes_away(broker, site, ear):
    check("five queues", len(broker.ours()) == 5, broker.ours())
    ear.kill()
    check("the queues are gone", until(lambda: not broker.ours()), broker.ours())
    site.publish("nova", "versioned_notifications.info", "x")
    check("nothing piles up", list(broker.queues()) == ["notifications.info"], broker.queues())
    text = "\n".join(ear.lines)
    check("no secret is said", SECRET not in text and PASSWORD not in text)


def over_tls(broker, folder, site):
    url = "rabbit+tls://listener:%s@localhost:%d/site" % (PASSWORD, broker.port)
    stranger = Ear(folder, url)
    check("a broker that nobody vouches for", stranger.says("cannot connect"), stranger.lines)
    check("closed", stranger.close() == 0)
    ear = Ear(folder, url.replace("rabbit+tls", "rabbit") + "?ssl=1", "ca", broker.ca)
    check("TLS and a password", ear.says("connected"), ear.lines)
    site.publish("glance", "notifications.info", IMAGE)
    check("hears", until(lambda: ear.touches() == ["image:i1"]), ear.lines)
    check("closed in order", ear.close() == 0)
    check("counted", ear.lines[-1] == "counts 1 1 0", ear.lines[-1])
    check("queues gone", not broker.ours(), broker.ours())


def wrong_password(broker, folder):
    ear = Ear(folder, "rabbit://listener:wrong-pass@localhost:%d/site" % (broker.port + 1))
    check("refused", ear.says("cannot connect"), ear.lines)
    check("closed", ear.close() == 0)
    check("not said", "wrong-pass" not in "\n".join(ear.lines), ear.lines)


def declares(broker, folder):
    """Where that is asked for, exchanges are made as oslo makes them."""
    ear = Ear(folder, "rabbit://site:site@localhost:%d/other" % (broker.port + 1), "declare")
    check("all places", until(lambda: len(broker.ours("other")) == 5), ear.lines)
    site = Site(broker, "other")  # 406 if the flags were others
    site.publish("glance", "notifications.info", IMAGE)
    check("hears", until(lambda: ear.touches() == ["image:i1"]), ear.lines)
    check("closed", ear.close() == 0)


def restart(broker, folder, url):
    site = Site(broker, durable=("keystone",))
    ear = Ear(folder, url)
    check("connected", ear.says("connected"))
    check("queues", until(lambda: len(broker.ours()) == 5), ear.lines)
    site.publish("nova", "notifications.info", SERVER)
    check("told", ear.says("notified compute on"), ear.lines)
    broker.do("kill")
    check("no longer", ear.says("notified compute off"), ear.lines)
    broker.do("restart")
    site = Site(broker, durable=("keystone",))
    check("told again", ear.says("notified compute on", 2, 90), ear.lines)
    site.publish("nova", "notifications.info", SERVER)
    check("hears", until(lambda: ear.touches() == ["server:s1"] * 2), ear.lines)
    check("closed", ear.close() == 0)


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="isthmus-notify-"))
    if not os.access("/usr/lib/rabbitmq/lib", os.X_OK):
        print("rabbitmq-server is not installed")
        sys.exit(77)
    try:
        broker = Broker(folder)
        url = "rabbit://listener:%s@localhost:%d/site" % (PASSWORD, broker.port + 1)
        site, ear = every_kind(broker, folder, url)
        hostile(site, ear)
        goes_away(broker, site, ear)
        over_tls(broker, folder, site)
        wrong_password(broker, folder)
        declares(broker, folder)
        restart(broker, folder, url)
    finally:
        subprocess.run([HERE / "broker", "stop", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    print("%d passed, %d failed" % (PASSED, FAILED))
    sys.exit(1 if FAILED else 0)


main()
