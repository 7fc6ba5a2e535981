"""The bus as its admin and as whoever holds a certificate: tap it, publish to
it, keep what was on it."""

import contextlib
import os
import ssl
import subprocess
import tempfile
import time

import pika

import rig

PORT = 5671
VHOST = "/isthmus"
CA = os.path.join(rig.HUB, "ca/bus.pem")


def ctl(*words):
    done = subprocess.run([os.path.join(rig.BUS, "rabbitmqctl"), "-q", *words],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120, check=False)
    text = done.stdout.decode()
    assert done.returncode == 0, "rabbitmqctl %s: %s" % (words[0], text)
    return text


def cut(name):
    """Has the broker close the connections of that name: how many."""
    rows = [row.split("\t") for row in
            ctl("list_connections", "pid", "client_properties").splitlines()]
    pids = [row[0] for row in rows
            if len(row) == 2 and '{"connection_name","%s"}' % name in row[1]]
    for pid in pids:
        ctl("close_connection", pid, "cut by a test")
    return len(pids)


def connect(certificate, key):
    context = ssl.create_default_context(cafile=CA)
    context.load_cert_chain(certificate, key)
    # Heartbeats off: this client sends them only while it is used.
    return pika.BlockingConnection(pika.ConnectionParameters(
        "localhost", PORT, VHOST, pika.credentials.ExternalCredentials(),
        ssl_options=pika.SSLOptions(context, "localhost"), heartbeat=0,
        blocked_connection_timeout=30))


@contextlib.contextmanager
def as_hub():
    """A channel with the hub's own certificate."""
    connection = connect(os.path.join(rig.HUB, "bus/cert.pem"),
                         os.path.join(rig.HUB, "tls.key"))
    try:
        yield connection.channel()
    finally:
        connection.close()


@contextlib.contextmanager
def as_site(site):
    state = os.path.join(rig.DEMO, "agent-" + site)
    connection = connect(os.path.join(state, "bus/cert.pem"),
                         os.path.join(state, "tls.key"))
    try:
        yield connection.channel()
    finally:
        connection.close()


def make_certificate(directory, name):
    """Of the hub's bus CA, as its admin could issue one."""
    def path(suffix):
        return os.path.join(directory, name + suffix)

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    with open(path(".ext"), "w", encoding="ascii") as file:
        file.write("basicConstraints=critical,CA:FALSE\n"
                   "keyUsage=critical,digitalSignature\n"
                   "extendedKeyUsage=clientAuth\n")
    openssl("req", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path(".key"),
            "-out", path(".csr"), "-subj", "/CN=" + name)
    openssl("x509", "-req", "-in", path(".csr"), "-CA", CA, "-CAkey",
            os.path.join(rig.HUB, "ca/bus.key"), "-set_serial",
            str(time.time_ns()), "-days", "1", "-out", path(".pem"),
            "-extfile", path(".ext"))
    return path(".pem"), path(".key")


class Message:
    def __init__(self, method, properties, body):
        headers = properties.headers or {}
        self.exchange = headers.get("exchange_name", method.exchange)
        if isinstance(self.exchange, bytes):
            self.exchange = self.exchange.decode()
        keys = headers.get("routing_keys", [method.routing_key])
        self.key = keys[0].decode() if isinstance(keys[0], bytes) else keys[0]
        self.traced = "exchange_name" in headers
        self.properties = properties
        self.body = body

    def everything(self):
        """All that a reader of the broker would see, as bytes."""
        return b"\0".join([self.exchange.encode(), self.key.encode(),
                           repr(self.properties).encode(), self.body])


class Tap:
    """Copies of what is published, kept by the broker until they are read."""

    def __init__(self, connection):
        self.channel = connection.channel()
        self.queue = self.channel.queue_declare(
            "", exclusive=True).method.queue

    def bind(self, exchange, key="#"):
        self.channel.queue_bind(self.queue, exchange, key)
        return self

    def read(self):
        found = []
        while True:
            method, properties, body = self.channel.basic_get(
                self.queue, auto_ack=True)
            if method is None:
                return found
            found.append(Message(method, properties, body))

    def read_until(self, enough, seconds=20):
        """Reads on until enough(found), or fails."""
        found, deadline = [], time.monotonic() + seconds
        while not enough(found):
            assert time.monotonic() < deadline, "not on the bus in time"
            found += self.read()
            time.sleep(0.02)
        return found


class Admin:
    """A user of the bus for this test alone, who may do everything."""

    def __init__(self):
        self.name = "noc-test"
        self.connection = None
        self.directory = tempfile.TemporaryDirectory()

    def __enter__(self):
        with contextlib.suppress(AssertionError):
            ctl("delete_user", self.name)
        ctl("add_user", self.name, os.urandom(16).hex())
        ctl("clear_password", self.name)
        ctl("set_permissions", "-p", VHOST, self.name, ".*", ".*", ".*")
        self.connection = connect(
            *make_certificate(self.directory.name, self.name))
        return self

    def __exit__(self, *_):
        with contextlib.suppress(pika.exceptions.AMQPError):
            self.connection.close()
        ctl("delete_user", self.name)
        self.directory.cleanup()

    def tap(self):
        return Tap(self.connection)

    @contextlib.contextmanager
    def traced(self):
        """A tap on everything, whatever the exchange."""
        tap = self.tap().bind("amq.rabbitmq.trace", "publish.#")
        ctl("trace_on", "-p", VHOST)
        try:
            yield tap
        finally:
            ctl("trace_off", "-p", VHOST)


def reply_key(site):
    """Where answers of that site reach the hub's present connection."""
    for line in ctl("list_queues", "-p", VHOST, "name").split():
        parts = line.split(".")
        if line.startswith("hub.") and parts[-1] == "rep":
            return "%s-%s.%s" % (parts[1], parts[2], site)
    raise AssertionError("the hub has no reply queue")
