#!/usr/bin/python3
"""Who may do what on the broker, cell by cell.

Starts a real RabbitMQ with what 'isthmus-hub setup' and 'site add' make, then
tries every verb on every object as every user, each with the certificate that
it was given. What is allowed must be exactly what is written here: the rules
below are the design in words of their own, not the regular expressions that
the program hands to the broker.

    permissions.py --bin DIR        where isthmus-hub and isthmus-agent are

Exit status 77: something it needs is not installed.
"""

import argparse
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

try:
    import pika
    from pika import exceptions
except ImportError:
    print("skipped: python3-pika is not installed")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
VHOST = "/isthmus"
SITES = ["site-a", "site-b"]
HUBS = ["h1", "h2"]
USERS = ["site-a", "site-b", "hub-h1", "noc-desk"]

OWN_EXCHANGES = ["x.req", "x.cmd", "x.rep", "x.evt", "x.noc", "x.dead"]
BUILT_IN = ["amq.direct", "amq.fanout", "amq.topic", "amq.headers",
            "amq.match", "amq.rabbitmq.trace"]
SHARED_QUEUES = ["hub.res", "dead.cmd", "evt.stream", "noc.stream"]
STREAMS = ["evt.stream", "noc.stream"]
KEYS = ["site-a.alive", "site-b.alive", "site-a.compute.server.created",
        "site-a", "site-a2.alive", "xsite-a.alive", "h1-1.site-a",
        "h1-1.site-b", "res.site-a", "res.site-b", "h1-1.x-site-a",
        "a.b.site-a", "*.site-a", "#", "", ".site-a", "h1-1b.site-a",
        "h1-1b.site-b", "site-b.site-a.t1", "h1.site-a.", "a.h1.site-a.t1",
        "site.site-a", "site.site-b", "bulk.site-a", "bulk.site-b", "site-b",
        "site-a.a.b.c.info"]


class Bus:
    """The broker, and a connection for each user."""

    def __init__(self, work, programs):
        self.work, self.programs = work, programs
        self.dir = os.path.join(work, "broker")
        self.hub = os.path.join(work, "hub")
        self.port = 0
        self.certificates = {}
        self.connections = {}

    def path(self, *names):
        return os.path.join(self.work, *names)

    def run(self, program, *words, status=0):
        done = subprocess.run([os.path.join(self.programs, program), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120, check=False)
        text = (done.stdout + done.stderr).decode()
        assert done.returncode == status, "%s %s: exit status %d\n%s" % (
            program, " ".join(words), done.returncode, text)
        return done.stdout.decode()

    def broker(self, *words, **more):
        return subprocess.run(["bash", os.path.join(HERE, "broker"), words[0],
                               self.dir, *words[1:]], check=True, timeout=300,
                              **more)

    def start(self):
        self.port = free_port()
        self.run("isthmus-hub", "setup", "--state", self.hub, "--federation",
                 "test", "--broker-host", "localhost", "--broker-port",
                 str(self.port))
        # The launcher takes over what it finds.
        tls = os.path.join(self.dir, "tls")
        os.makedirs(tls)
        for name in ["ca.pem", "broker.pem", "broker.key"]:
            shutil.copy(os.path.join(self.hub, "broker", name), tls)
        shutil.copy(os.path.join(self.hub, "ca/bus.key"),
                    os.path.join(tls, "ca.key"))
        self.broker("start", "--definitions",
                    os.path.join(self.hub, "broker/definitions.json"),
                    "--port", str(self.port))
        self.rabbitmqctl = self.path("rabbitmqctl")
        with open(self.rabbitmqctl, "w") as script:
            script.write('#!/bin/sh\nexec bash "%s/broker" ctl "%s" "$@"\n'
                         % (HERE, self.dir))
        os.chmod(self.rabbitmqctl, 0o755)

    def add_site(self, name):
        state = self.path(name)
        bundle, answer = self.path(name + ".site"), self.path(name + ".hub")
        self.run("isthmus-agent", "keys", "--state", state, "--site", name,
                 "--out", bundle)
        self.run("isthmus-hub", "site", "add", name, bundle, "--state",
                 self.hub, "--out", answer, "--rabbitmqctl", self.rabbitmqctl)
        self.run("isthmus-agent", "keys", "--state", state, "--import", answer)
        self.certificates[name] = (state + "/bus/cert.pem", state + "/tls.key",
                                   state + "/bus/ca.pem")

    def add_others(self):
        """The hub's own certificate; a NOC console; a second hub."""
        self.certificates["hub-h1"] = (self.hub + "/bus/cert.pem",
                                       self.hub + "/tls.key",
                                       self.hub + "/bus/ca.pem")
        folder = self.path("desk")
        self.run("isthmus-hub", "noc", "add", "desk", "--state", self.hub,
                 "--out", folder, "--rabbitmqctl", self.rabbitmqctl)
        self.certificates["noc-desk"] = (folder + "/cert.pem",
                                         folder + "/key.pem",
                                         folder + "/ca.pem")
        more = self.run("isthmus-hub", "topology", "--hub", "h2")
        self.broker("ctl", "import_definitions", input=more.encode(),
                    stdout=subprocess.DEVNULL)
        self.broker("cert", "hub-h2")
        tls = os.path.join(self.dir, "tls", "hub-h2")
        self.certificates["hub-h2"] = (tls + ".pem", tls + ".key",
                                       self.hub + "/bus/ca.pem")

    def parameters(self, certificate, key, ca, vhost=VHOST, credentials=None):
        context = ssl.create_default_context(cafile=ca)
        if certificate:
            context.load_cert_chain(certificate, key)
        return pika.ConnectionParameters(
            "localhost", self.port, vhost,
            credentials or pika.credentials.ExternalCredentials(),
            ssl_options=pika.SSLOptions(context, "localhost"),
            blocked_connection_timeout=10, connection_attempts=1)

    def connect(self, user):
        return pika.BlockingConnection(
            self.parameters(*self.certificates[user]))

    def channel(self, user):
        """On the user's connection, which an idle while may have ended: this
        client sends heartbeats only when it is used."""
        connection = self.connections.get(user)
        if connection and connection.is_open:
            try:
                return connection.channel()
            except exceptions.AMQPConnectionError:
                pass
        self.connections[user] = self.connect(user)
        return self.connections[user].channel()

    def attempt(self, user, work):
        """Runs work(channel) as that user: 0, or AMQP's reply code."""
        channel = self.channel(user)
        try:
            work(channel)
            channel.close()
            return 0
        except exceptions.ChannelClosedByBroker as error:
            return error.reply_code
        except exceptions.ConnectionClosedByBroker as error:
            return error.reply_code
        except exceptions.UnroutableError:
            return 0  # Taken, and no queue wants it.


def free_port():
    import random
    import socket

    for _ in range(100):
        port = 24000 + 4 * random.randrange(1500)
        for offset in range(4):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port + offset)) == 0:
                    break
        else:
            return port
    raise AssertionError("no free ports")


# The design, in words.

def kind_of(user):
    return user.split("-")[0] if user[:4] in ("hub-", "noc-") else "site"


def is_word(text):
    return text != "" and all(c in "abcdefghijklmnopqrstuvwxyz0123456789-"
                              for c in text)


def may_publish(user, exchange, key):
    words = key.split(".")
    if kind_of(user) == "hub":
        return exchange in ("x.req", "x.cmd", "x.noc")
    if kind_of(user) == "noc":
        return False
    if exchange == "x.evt":
        return len(words) >= 2 and words[0] == user
    if exchange == "x.rep":
        return len(words) == 2 and is_word(words[0]) and words[1] == user
    return False


def may_read(user, queue):
    if kind_of(user) == "hub":
        return (queue in ("hub.res", "dead.cmd", "evt.stream") or
                queue.startswith("hub.%s." % user[4:]))
    if kind_of(user) == "noc":
        return queue == "noc.stream"
    return queue in ("site.%s.req" % user, "site.%s.cmd" % user,
                     "site.%s.bulk" % user)


def may_make(user, queue):
    """Declare and delete: a hub its own queues."""
    words = queue.split(".")
    return (kind_of(user) == "hub" and words[:2] == ["hub", user[4:]]
            and len(words) > 2)


def may_bind(user, exchange, queue):
    return (may_make(user, queue) and
            exchange in ("x.rep", "x.evt"))


def may_bind_exchanges(user, source, destination):
    """A hub may lead what it reads to where it writes: no more than it could
    do by itself, message by message."""
    return (kind_of(user) == "hub" and source in ("x.rep", "x.evt")
            and destination in ("x.req", "x.cmd", "x.noc"))


# The matrix.

class Matrix:
    def __init__(self, bus, definitions):
        self.bus = bus
        self.arguments = {queue["name"]: queue["arguments"]
                          for queue in definitions["queues"]}
        self.types = {exchange["name"]: exchange["type"]
                      for exchange in definitions["exchanges"]}
        self.queues = (SHARED_QUEUES +
                       ["site.%s.%s" % (site, queue) for site in SITES
                        for queue in ("req", "cmd", "bulk")] +
                       ["hub.%s.%s" % (hub, queue) for hub in HUBS
                        for queue in ("1.rep", "1.alive", "1.bulk")])
        self.new_queues = ["site.site-a.new", "site.site-a.bulk.new",
                           "site.site-c.bulk", "site.site-a.bulk2",
                           "hub.h1.2.new", "hub.h2.2.new", "hub.h1",
                           "hub.h12.1.new", "hub.res2", "evt.stream2", "new",
                           "xhub.h1.1.new"]
        self.exchanges = OWN_EXCHANGES + BUILT_IN + [""]
        self.cells = self.allowed = 0
        self.wrong = []
        self.seen = {}

    def owner_of(self, queue):
        """Who makes it at run time."""
        return "hub-h2" if queue.startswith("hub.h2.") else "hub-h1"

    def is_runtime(self, queue):
        return queue not in self.arguments

    def declare(self, channel, queue):
        runtime = self.is_runtime(queue)
        channel.queue_declare(queue, durable=not runtime,
                              arguments=self.arguments.get(queue, {}))

    def make_runtime(self, queue=None):
        for name in [queue] if queue else self.queues:
            if self.is_runtime(name):
                code = self.bus.attempt(
                    self.owner_of(name),
                    lambda channel, name=name: self.declare(channel, name))
                assert code == 0, "cannot make %s: %d" % (name, code)

    def cell(self, user, verb, thing, expected, work, others=()):
        """expected: True or False (403), 'others' what may be answered
        instead of success, as the broker can do no such thing."""
        code = self.bus.attempt(user, work)
        self.cells += 1
        allowed = code == 0 or code in others
        self.allowed += allowed
        key = (kind_of(user), verb)
        self.seen.setdefault(key, [0, 0])[0 if allowed else 1] += 1
        if allowed != expected or (not expected and code != 403):
            self.wrong.append("%s %s %s: got %d, should be %s"
                              % (user, verb, thing, code,
                                 "allowed" if expected else "403"))
        return allowed

    def publishes(self, user):
        for exchange in self.exchanges + ["new"]:
            for key in KEYS + self.queues:
                def work(channel, exchange=exchange, key=key):
                    channel.confirm_delivery()
                    channel.basic_publish(
                        exchange, key, b"x",
                        pika.BasicProperties(user_id=user))
                # An exchange that is not there: 404 comes before the right.
                if exchange == "new":
                    continue
                self.cell(user, "publish", "%s %s" % (exchange, key),
                          may_publish(user, exchange, key), work)

    def exchange_verbs(self, user):
        for name in self.exchanges + ["new", "x.new", "hub.h1.x"]:
            # "hub.h1.x" lies within what a hub may configure.
            mine = user == "hub-h1" and name == "hub.h1.x"
            kind = self.types.get(name, "topic")

            def declare(channel, name=name, kind=kind):
                channel.exchange_declare(name, kind, durable=True)

            def delete(channel, name=name):
                channel.exchange_delete(name)

            self.cell(user, "exchange.declare", name, mine, declare)
            self.cell(user, "exchange.delete", name, mine, delete)
            if name in OWN_EXCHANGES + BUILT_IN:
                self.cell(user, "exchange.passive", name, True,
                          lambda channel, name=name:
                          channel.exchange_declare(name, passive=True))
        for source in OWN_EXCHANGES + BUILT_IN:
            for destination in OWN_EXCHANGES + BUILT_IN:
                ok = may_bind_exchanges(user, source, destination)

                def bind(channel, source=source, destination=destination):
                    channel.exchange_bind(destination, source, "never")

                def unbind(channel, source=source, destination=destination):
                    channel.exchange_unbind(destination, source, "never")

                thing = "%s to %s" % (source, destination)
                self.cell(user, "exchange.bind", thing, ok, bind)
                self.cell(user, "exchange.unbind", thing, ok, unbind)

    def queue_verbs(self, user):
        for name in self.queues:
            stream = name in STREAMS
            # Of a queue with one active consumer nobody else may get.
            single = "x-single-active-consumer" in self.arguments.get(name, {})
            self.cell(user, "queue.passive", name, True,
                      lambda channel, name=name:
                      channel.queue_declare(name, passive=True))
            self.cell(user, "queue.declare", name, may_make(user, name),
                      lambda channel, name=name: self.declare(channel, name))
            self.cell(user, "basic.consume", name, may_read(user, name),
                      lambda channel, name=name: consume(channel, name))
            self.cell(user, "basic.get", name, may_read(user, name),
                      lambda channel, name=name: channel.basic_get(name),
                      others=(540,) if stream else (405,) if single else ())
            self.cell(user, "queue.purge", name, may_read(user, name),
                      lambda channel, name=name: channel.queue_purge(name),
                      others=(540,) if stream else ())
            for exchange in OWN_EXCHANGES + BUILT_IN:
                ok = may_bind(user, exchange, name)
                thing = "%s to %s" % (exchange, name)

                def bind(channel, exchange=exchange, name=name):
                    channel.queue_bind(name, exchange, "never")

                def unbind(channel, exchange=exchange, name=name):
                    channel.queue_unbind(name, exchange, "never")

                self.cell(user, "queue.bind", thing, ok, bind)
                self.cell(user, "queue.unbind", thing, ok, unbind)

    def new_queue_verbs(self, user):
        for name in self.new_queues:
            made = self.cell(user, "queue.declare", name + " (new)",
                             may_make(user, name),
                             lambda channel, name=name:
                             channel.queue_declare(name))
            if made:
                self.cell(user, "queue.delete", name, True,
                          lambda channel, name=name:
                          channel.queue_delete(name))
        self.cell(user, "queue.declare", "(named by the server)", False,
                  lambda channel: channel.queue_declare("", exclusive=True))

    def deletes(self, user):
        for name in self.queues:
            if self.cell(user, "queue.delete", name, may_make(user, name),
                         lambda channel, name=name:
                         channel.queue_delete(name)):
                self.make_runtime(name)

    def forgery(self, user):
        """A false user_id where publishing is allowed: 406."""
        where = {"site": ("x.evt", "%s.alive" % user), "hub": ("x.noc", "a")}
        if kind_of(user) not in where:
            return
        exchange, key = where[kind_of(user)]

        def work(channel):
            channel.confirm_delivery()
            channel.basic_publish(exchange, key, b"x",
                                  pika.BasicProperties(user_id="site-z"))
        code = self.bus.attempt(user, work)
        self.cells += 1
        if code != 406:
            self.wrong.append("%s forges user_id: got %d" % (user, code))

    def run(self):
        self.make_runtime()
        for user in USERS:
            self.publishes(user)
            self.exchange_verbs(user)
            self.queue_verbs(user)
            self.new_queue_verbs(user)
            self.deletes(user)
            self.forgery(user)


def consume(channel, name):
    channel.basic_qos(prefetch_count=1)
    # On a stream nothing may be acknowledged at once.
    tag = channel.basic_consume(name, lambda *_: None)
    channel.basic_cancel(tag)


# What certificates, passwords and limits let in.

def refused(work):
    try:
        work()
    except (exceptions.AMQPError, ssl.SSLError, OSError):
        return True
    return False


def check_access(bus, wrong):
    certificate, key, ca = bus.certificates["site-a"]
    password = pika.PlainCredentials("site-a", "")
    cases = [
        ("no certificate", (None, None, ca), {}),
        ("no password, PLAIN", (certificate, key, ca),
         {"credentials": password}),
        ("a guest", (certificate, key, ca),
         {"credentials": pika.PlainCredentials("guest", "guest")}),
        ("another vhost", (certificate, key, ca), {"vhost": "/"}),
    ]
    foreign = bus.path("foreign")
    bus.run("isthmus-hub", "setup", "--state", foreign, "--federation",
            "test", "--broker-host", "localhost")
    bus.run("isthmus-agent", "keys", "--state", bus.path("f"), "--site",
            "site-a", "--out", bus.path("f.site"))
    bus.run("isthmus-hub", "site", "add", "site-a", bus.path("f.site"),
            "--state", foreign, "--out", bus.path("f.hub"), "--no-broker")
    bus.run("isthmus-agent", "keys", "--state", bus.path("f"), "--import",
            bus.path("f.hub"))
    cases.append(("a certificate of another CA",
                  (bus.path("f/bus/cert.pem"), bus.path("f/tls.key"), ca), {}))
    for what, tls, more in cases:
        if not refused(lambda: pika.BlockingConnection(
                bus.parameters(*tls, **more))):
            wrong.append("let in: " + what)
    return len(cases)


def check_limits(bus, wrong):
    """6 connections of 16 channels for a site."""
    held = []
    own = bus.connections.pop("site-b", None)
    if own and own.is_open:
        refused(own.close)
    time.sleep(1)  # The broker counts a closed one off a little later.
    for _ in range(6):
        held.append(bus.connect("site-b"))
    if not refused(lambda: held.append(bus.connect("site-b"))):
        wrong.append("a 7th connection of a site was let in")
    for connection in held:
        connection.close()
    time.sleep(1)
    connection = bus.connect("site-b")
    for _ in range(16):
        connection.channel()
    if not refused(connection.channel):
        wrong.append("a 17th channel of a site was let in")
    if connection.is_open:
        connection.close()
    return 2


def check_repeat_and_removal(bus, wrong):
    # The same again changes nothing and is no error.
    bus.run("isthmus-hub", "site", "add", "site-b", bus.path("site-b.site"),
            "--state", bus.hub, "--out", bus.path("again"), "--rabbitmqctl",
            bus.rabbitmqctl)
    with open(bus.path("again")) as again, open(bus.path("site-b.hub")) as old:
        if again.read() != old.read():
            wrong.append("a repeated 'site add' gave another bundle")
    live = bus.connect("site-b")
    bus.run("isthmus-hub", "site", "remove", "site-b", "--state", bus.hub,
            "--rabbitmqctl", bus.rabbitmqctl)
    if not refused(lambda: live.sleep(5) or live.channel()):
        wrong.append("a removed site's connection lives on")
    if not refused(lambda: bus.connect("site-b")):
        wrong.append("a removed site was let in")
    left = bus.broker("ctl", "-q", "list_queues", "-p", VHOST, "name",
                      stdout=subprocess.PIPE).stdout.decode()
    if "site.site-b.req" in left or "site.site-b.cmd" in left:
        wrong.append("a removed site's queues are still there")
    # Twice is no error either; nor is its neighbour touched.
    bus.run("isthmus-hub", "site", "remove", "site-b", "--state", bus.hub,
            "--rabbitmqctl", bus.rabbitmqctl)
    bus.connect("site-a").close()
    bus.run("isthmus-hub", "site", "add", "site-b", bus.path("site-b.site"),
            "--state", bus.hub, "--out", bus.path("again"), "--rabbitmqctl",
            bus.rabbitmqctl, status=1)
    return 6


def check_table(bus, matrix, wrong):
    """Every object of the program's table is in the matrix above."""
    table = json.loads(bus.run("isthmus-hub", "topology"))
    for exchange in table["exchanges"]:
        if exchange["name"] not in OWN_EXCHANGES:
            wrong.append("not tried: exchange " + exchange["name"])
    for queue in table["queues"]:
        name = queue["name"]
        for old, new in [("<s>", "site-a"), ("<h>", "h1"), ("<n>", "1"),
                         ("<id>", "t1")]:
            name = name.replace(old, new)
        if name not in matrix.queues:
            wrong.append("not tried: queue " + queue["name"])
    for user in table["permissions"]:
        name = user["user"].replace("<s>", "site-a").replace(
            "<h>", "h1").replace("<noc>", "desk")
        if name not in USERS:
            wrong.append("not tried: user " + user["user"])
        for right in ("configure", "write", "read"):
            if not user[right].startswith("^") or \
                    not user[right].endswith("$"):
                wrong.append("not anchored: " + user[right])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    for program in ["isthmus-hub", "isthmus-agent"]:
        if not os.path.exists(os.path.join(options.bin, program)):
            print("skipped: no %s in %s" % (program, options.bin))
            return 77
    if not os.path.isdir("/usr/lib/rabbitmq/lib"):
        print("skipped: rabbitmq-server is not installed")
        return 77

    work = tempfile.mkdtemp(prefix="isthmus-permissions-")
    bus = Bus(work, options.bin)
    try:
        bus.start()
        for site in SITES:
            bus.add_site(site)
        bus.add_others()
        with open(os.path.join(bus.hub, "broker/definitions.json")) as file:
            matrix = Matrix(bus, json.load(file))
        matrix.run()
        wrong = matrix.wrong
        check_table(bus, matrix, wrong)
        n = check_access(bus, wrong)
        n += check_limits(bus, wrong)
        n += check_repeat_and_removal(bus, wrong)
    finally:
        bus.broker("stop")
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)
    for (kind, verb), (yes, no) in sorted(matrix.seen.items()):
        print("%-5s %-18s allowed %4d  refused %4d" % (kind, verb, yes, no))
    print("%d cells, %d allowed, %d other checks, %d wrong"
          % (matrix.cells, matrix.allowed, n, len(wrong)))
    for line in wrong[:200]:
        print("WRONG", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
