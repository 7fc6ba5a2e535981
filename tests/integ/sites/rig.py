"""The demo as a rig: where its parts are, how to ask, break and heal them.

Everything here is the standard library: the hub is asked as any client would,
the daemons are found by their pid files.
"""

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import time

REPO = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.environ.get("ISTHMUS_BUILD", os.path.join(REPO, "build"))
DEMO = os.path.join(BUILD, "demo")
BUS = os.path.join(DEMO, "bus")
HUB = os.path.join(DEMO, "hub")
BIN = os.path.join(BUILD, "release/bin")
CA = os.path.join(DEMO, "ca.pem")
SITES = ["hkg", "lon", "sjc"]
PORT = 8443

# The daemons of a site's OpenStack.
SERVICES = ["memcached", "keystone", "placement", "glance", "neutron",
            "nova-api", "nova-conductor", "nova-scheduler", "nova-compute",
            "cinder-api", "cinder-scheduler", "cinder-volume"]

# Bounds on time hold exactly on a quiet machine; a busy one gets more.
FULL = bool(os.environ.get("FULL"))
SLACK = 1 if FULL else 5

# One kind of each service: what must answer before a site counts as whole.
PROBES = ["servers", "networks", "images", "volumes", "projects"]


def read(*names):
    with open(os.path.join(*names), encoding="utf-8") as file:
        return file.read()


def token():
    return read(DEMO, "token").strip()


# ------------------------------------------------------------------- asking


class Answer:
    """Of the hub. 'seconds' from the request's first byte to the body's last:
    the connection and its handshake are there before."""

    def __init__(self, response, body, seconds):
        self.status = response.status
        self.headers = response.headers
        self.body = body
        self.seconds = seconds

    @property
    def type(self):
        return self.headers.get("Content-Type", "")

    def json(self):
        return json.loads(self.body, parse_constant=_no_constant)

    def problem(self):
        """The body, which must be a whole problem of this status."""
        assert self.type == "application/problem+json", (self.type, self.body)
        problem = self.json()
        assert problem["status"] == self.status
        assert {"type", "title", "detail", "instance", "code"} <= set(problem)
        return problem

    def items(self):
        assert self.status == 200, (self.status, self.body[:500])
        return self.json()["items"]

    def sites(self):
        """Site -> what became of it."""
        assert self.status == 200, (self.status, self.body[:500])
        return {part["site"]: part for part in self.json()["sites"]}

    def answered(self):
        return sorted(site for site, part in self.sites().items()
                      if part["state"] == "answered")


def _no_constant(word):
    raise ValueError("not JSON: " + word)


def tls():
    return ssl.create_default_context(cafile=CA)


def get(path, headers=None, method="GET", body=None, timeout=90, auth=True):
    connection = http.client.HTTPSConnection("localhost", PORT, context=tls(),
                                             timeout=timeout)
    try:
        connection.connect()
        start = time.monotonic()
        sent = {"Authorization": "Bearer " + token()} if auth else {}
        sent.update(headers or {})
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        content = response.read()
        return Answer(response, content, time.monotonic() - start)
    finally:
        connection.close()


def api(rest, **more):
    return get("/api/v1/" + rest, **more)


def cli(*words, env=None, timeout=90):
    """The program 'isthmus', as a person has it after '. build/demo/env'."""
    full = dict(os.environ, ISTHMUS_URL="https://localhost:%d" % PORT,
                ISTHMUS_CACERT=CA, ISTHMUS_TOKEN=token())
    full.update(env or {})
    start = time.monotonic()
    done = subprocess.run([os.path.join(BIN, "isthmus"), *words],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout, env=full,
                          check=False)
    done.seconds = time.monotonic() - start
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def metrics():
    """Name with labels, as it is written -> value."""
    answer = get("/metrics", auth=False)
    assert answer.status == 200
    found = {}
    for line in answer.body.decode().splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def refused():
    """Reason -> how many messages the hub has refused for it."""
    name = "isthmus_hub_messages_refused_total"
    return {key[len(name) + 9:-2]: int(value)
            for key, value in metrics().items() if key.startswith(name)}


# ------------------------------------------------------------------ daemons


class Daemon:
    """One that deploy/lib/daemon.sh has started: its pid is its group."""

    def __init__(self, directory, name):
        self.file = os.path.join(directory, "pid", name)
        self.name = name

    def pid(self):
        """None when it is not running."""
        try:
            pid, stamp = read(self.file).split("\n")[:2]
            stat = read("/proc", pid, "stat").rpartition(") ")[2].split()
            boot = read("/proc/sys/kernel/random/boot_id").strip()
        except (OSError, ValueError):
            return None
        alive = stat[0] != "Z" and stamp == "%s %s" % (boot, stat[19])
        return int(pid) if alive else None

    def signal(self, number):
        pid = self.pid()
        assert pid, self.name + " does not run"
        os.killpg(pid, number)

    def kill(self):
        """At once, and gone when this returns."""
        pid = self.pid()
        self.signal(signal.SIGKILL)
        wait_for(lambda: self.pid() is None, 20, self.name + " to die")
        return pid

    def status(self, field):
        for line in read("/proc/%d/status" % self.pid()).splitlines():
            if line.startswith(field + ":"):
                return line.split()[1]
        raise KeyError(field)


def agent(site):
    return Daemon(DEMO, "agent-" + site)


def hub():
    return Daemon(DEMO, "hub")


def broker():
    return Daemon(BUS, "rabbitmq")


def service(site, name):
    return Daemon(os.path.join(BUILD, "sites", site), name)


def all_daemons():
    for directory in [DEMO, BUS, *(os.path.join(BUILD, "sites", site)
                                   for site in SITES)]:
        for name in os.listdir(os.path.join(directory, "pid")):
            yield Daemon(directory, name)


@contextlib.contextmanager
def stopped(daemon):
    """Hung: alive for the kernel and its peers, and doing nothing."""
    daemon.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.signal(signal.SIGCONT)


def demo(*words):
    done = subprocess.run([os.path.join(REPO, "deploy/demo"), *words],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=900, check=False)
    assert done.returncode == 0, "deploy/demo %s: %s" % (
        " ".join(words), done.stdout.decode()[-2000:])


# ------------------------------------------------------------------ healing


def wait_for(condition, seconds, what, pause=0.05):
    """Seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "timed out: " + what
        time.sleep(pause)
    return time.monotonic() - start


def present():
    """Names of the sites that the hub says are there; none if it is not."""
    try:
        answer = api("sites", timeout=5)
    except OSError:
        return []
    return sorted(site["name"] for site in answer.items()
                  if site["state"] == "present")


def is_answered(kind, sites=None, deadline=10000):
    """Do all (or these) sites answer, asked as any client would?"""
    try:
        answer = api("%s?deadline=%d&limit=1%s" % (
            kind, deadline, "&site=" + ",".join(sites) if sites else ""))
    except OSError:
        return False
    return answer.status == 200 and answer.answered() == (sites or SITES)


def is_whole():
    return present() == SITES and all(is_answered(kind) for kind in PROBES)


def policy_file(site):
    return os.path.join(DEMO, "agent-" + site, "policy.yaml")


DEMO_POLICY = """mode: active
rules:
  - {allow: read, what: "*"}
  - {allow: "*", what: "*", project: mapped}
"""


def set_policy(site, text):
    with open(policy_file(site), "w", encoding="utf-8") as file:
        file.write(text)
    os.kill(agent(site).pid(), signal.SIGHUP)


def heal():
    """Whatever a test has done, the demo runs again as it is made."""
    for daemon in all_daemons():
        if daemon.pid():
            daemon.signal(signal.SIGCONT)
    if not broker().pid():
        demo("start", "bus")
    if not hub().pid():
        demo("start", "hub")
    for site in SITES:
        if not all(service(site, name).pid() for name in SERVICES):
            demo("start", site, "openstack")
        if not agent(site).pid():
            demo("start", site, "agent")
        if read(policy_file(site)) != DEMO_POLICY:
            set_policy(site, DEMO_POLICY)
    wait_for(is_whole, 180, "three whole sites", 0.5)
