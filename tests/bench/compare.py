#!/usr/bin/python3
"""Merged lists over N sites on a real RabbitMQ: Isthmus against the floor (bare librabbitmq, floor.c) and against the
peer (oslo.messaging, peer.py), in interleaved slices.

    compare.py --bin DIR --programs DIR [--sites N]... [--blocks N] [--servers N] [--limit N]

In each block every contender has one slice, in random order; what counts is the median of the blocks' own ratios, with
its 10 to 90 % band, and the same of CPU time beside it (broker, hub and sites together), which load disturbs less.

"isthmus" asks for one page again and again, as a portal does, and the hub knows what each site gave to it (survey/past.h);
"first" is the same hub asking for a page that it has not seen. The floor moves the bytes of "isthmus".
"""
import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BROKER = os.path.join(HERE, "../integ/broker")
TICK = os.sysconf("SC_CLK_TCK")
SLICE_S = {"isthmus": 1.0, "first": 1.0, "floor": 1.0, "peer": 2.0}  # About; a slice has one list at least.


def cpu_of(pids):
    """Seconds of user and system time, threads that ended included."""
    ticks = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
            ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    return ticks / TICK


def rss_of(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def steal():
    with open("/proc/stat", encoding="utf-8") as file:
        words = list(map(int, file.readline().split()[1:]))
    return words[7], sum(words[:8])


def at(values, share):
    """The quantile, as a value that was measured."""
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def median(values):
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


class Program:
    """Something that serves, or measures on demand, until its input is closed."""

    all = []

    def __init__(self, *words, log):
        self.process = subprocess.Popen(list(map(str, words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=log, text=True)
        self.pid, self.words, self.log = self.process.pid, words, log.name
        Program.all.append(self)

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            with open(self.log, encoding="utf-8") as file:
                print("".join(file.readlines()[-20:]), end="", file=sys.stderr)
            raise SystemExit("%s ended: status %s" % (" ".join(map(str, self.words)), self.process.wait()))
        return line

    def slice(self, k, how=""):
        self.process.stdin.write("%d%s\n" % (k, how))
        self.process.stdin.flush()
        return json.loads(self.line())

    def end(self):
        """The servers of oslo.messaging have threads that would take their time."""
        self.process.kill()
        self.process.wait()
        Program.all.remove(self)


class Contender:
    def __init__(self, name, hub, sites, how=""):
        self.name, self.hub, self.sites, self.k, self.how = name, hub, sites, 1, how
        self.all_ns, self.blocks = [], []

    def warm(self):
        """How many lists make a slice."""
        self.hub.slice(3, self.how)
        ns = median(self.hub.slice(5, self.how)["ns"])
        self.k = max(1, min(2000, int(SLICE_S[self.name] * 1e9 / ns)))

    def run(self, broker):
        parts = [[broker], [self.hub.pid], [site.pid for site in self.sites]]
        before = [cpu_of(pids) for pids in parts]
        result = self.hub.slice(self.k, self.how)
        used = [(cpu_of(pids) - was) / self.k for pids, was in zip(parts, before)]
        self.all_ns += result["ns"]
        self.blocks.append({"ns": median(result["ns"]), "cpu": sum(used), "parts": used, "result": result})

    def end(self):
        for program in [self.hub] + self.sites:
            program.end()


def shares(n):
    """How sites are shared out over processes, the same for every contender: one for each core, as each site is a machine
    of its own; with more, it is the switches between them that are measured, which no site has."""
    each = -(-n // min(n, os.cpu_count()))
    return [(first, min(each, n - first)) for first in range(0, n, each)]


class Bench:
    def __init__(self, options):
        self.options = options
        self.work = tempfile.mkdtemp(prefix="isthmus-bench-")
        self.log = open(os.path.join(self.work, "log"), "w", encoding="utf-8")
        self.n_max = max(options.sites)
        self.hub = self.path("hub")
        self.rows = self.path("rows.json")

    def path(self, *names):
        return os.path.join(self.work, *names)

    def run(self, program, *words):
        done = subprocess.run([os.path.join(self.options.bin, program), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, text=True)
        if done.returncode:
            raise SystemExit("%s %s: %s" % (program, " ".join(words), done.stdout + done.stderr))
        return done.stdout

    def broker(self, *words):
        subprocess.run(["bash", BROKER, words[0], self.path("broker"), *words[1:]], check=True, stdout=self.log)

    def enrol(self):
        for i in range(self.n_max):
            name, bundle, answer = "s%03d" % i, self.path("bundle"), self.path("answer")
            state = self.path("sites", name)
            os.makedirs(state)
            self.run("isthmus-agent", "keys", "--state", state, "--site", name, "--out", bundle)
            self.run("isthmus-hub", "site", "add", name, bundle, "--state", self.hub, "--out", answer, "--no-broker")
            self.run("isthmus-agent", "keys", "--state", state, "--import", answer)
        with open(self.path("policy.yaml"), "w", encoding="utf-8") as file:
            file.write('mode: active\nrules:\n  - {allow: read, what: "*"}\n')

    def definitions(self):
        """What the hub's own command makes, and what floor and peer need."""
        with open(os.path.join(self.hub, "broker/definitions.json"), encoding="utf-8") as file:
            found = json.load(file)
        for first in range(0, self.n_max, 50):
            names = [word for i in range(first, min(first + 50, self.n_max)) for word in ("--site", "s%03d" % i)]
            for key, values in json.loads(self.run("isthmus-hub", "topology", *names)).items():
                if isinstance(values, list):
                    found[key] = found.get(key, []) + values
        for user in ({"name": "floor", "password_hash": ""}, {"name": "tester", "password": "tester"}):
            found["users"].append({"tags": [], **user})
            found["permissions"].append({"user": user["name"], "vhost": "/isthmus", "configure": ".*", "write": ".*",
                                         "read": ".*"})
        arguments = next(queue["arguments"] for queue in found["queues"] if queue["name"] == "site.s000.req")
        for i in range(self.n_max):
            name = "floor.%03d" % i
            found["queues"].append({"name": name, "vhost": "/isthmus", "durable": True, "auto_delete": False,
                                    "arguments": arguments})
            found["bindings"].append({"source": "x.req", "vhost": "/isthmus", "destination": name,
                                      "destination_type": "queue", "routing_key": name, "arguments": {}})
        with open(self.path("definitions.json"), "w", encoding="utf-8") as file:
            json.dump(found, file)

    def start(self):
        port = 24000 + 4 * random.randrange(1500)
        self.run("isthmus-hub", "setup", "--state", self.hub, "--federation", "bench", "--broker-host", "localhost",
                 "--broker-port", str(port))
        self.enrol()
        self.definitions()
        tls = self.path("broker", "tls")
        os.makedirs(tls)
        for name in ["ca.pem", "broker.pem", "broker.key"]:
            shutil.copy(os.path.join(self.hub, "broker", name), tls)
        shutil.copy(os.path.join(self.hub, "ca/bus.key"), os.path.join(tls, "ca.key"))
        self.broker("cert", "floor")
        self.broker("start", "--definitions", self.path("definitions.json"), "--port", str(port))
        self.port = port
        with open(self.path("broker", "rabbitmq.pid"), encoding="utf-8") as file:
            self.pid = int(file.read())

    def program(self, name, *words):
        return Program(os.path.join(self.options.programs, name), *words, log=self.log)

    def isthmus(self, n, servers):
        sites, parts = [], []
        for first, count in shares(n):
            parts.append("%s.%03d" % (self.rows, first))
            sites.append(self.program("bench_sites", self.path("sites"), first, count, servers, parts[-1],
                                      self.path("policy.yaml")))
        self.record = max(int(site.line().split()[1]) for site in sites)
        with open(self.rows, "wb") as file:
            for part in parts:
                with open(part, "rb") as rows:
                    shutil.copyfileobj(rows, file)
        hub = self.program("bench_list", self.hub, n, self.options.limit)
        hub.line()
        return Contender("isthmus", hub, sites)

    def floor(self, n, request, reply):
        tls = self.path("broker", "tls")
        sites = [self.program("bench_floor", "sites", tls, self.port, first, count, reply)
                 for first, count in shares(n)]
        for site in sites:
            site.line()
        hub = self.program("bench_floor", "hub", tls, self.port, 0, n, request)
        hub.line()
        return Contender("floor", hub, sites)

    def peer(self, n, count):
        script = [sys.executable, "-B", os.path.join(HERE, "peer.py")]
        sites = [Program(*script, "sites", self.port + 1, self.rows, count, first, some, log=self.log)
                 for first, some in shares(n)]
        for site in sites:
            site.line()
        hub = Program(*script, "hub", self.port + 1, n, self.options.limit, log=self.log)
        hub.line()
        return Contender("peer", hub, sites)

    def compare(self, n):
        servers = self.options.servers
        isthmus = self.isthmus(n, servers)
        isthmus.warm()
        first = isthmus.hub.slice(20)
        if first["failed"] or first["rows"] != 20 * min(self.options.limit, servers * n):
            raise SystemExit("isthmus: %s" % first)
        request, reply = first["call_bytes"] // (20 * n), first["answer_bytes"] // (20 * n)
        contenders = [isthmus]
        contenders.append(Contender("first", isthmus.hub, isthmus.sites, " first"))
        contenders.append(self.floor(n, request, reply))
        if self.options.peer:
            contenders.append(self.peer(n, -(-first["received"] // (20 * n))))
        for contender in contenders[1:]:
            contender.warm()
        describe(n, servers, self.record, first, request, reply)
        was = steal()
        for _ in range(self.options.blocks):
            for contender in random.sample(contenders, len(contenders)):
                contender.run(self.pid)
        now = steal()
        table(n, contenders, (now[0] - was[0]) / max(1, now[1] - was[1]))
        for contender in contenders:
            if contender.name != "first":
                contender.end()

    def end(self):
        for program in list(Program.all):
            program.end()
        if os.path.exists(self.path("broker", "node.env")):
            self.broker("stop")
        self.log.close()
        shutil.rmtree(self.work, ignore_errors=True)


def describe(n, servers, record, first, request, reply):
    print("N = %d sites, %d servers each of %d B; a list of %d rows takes %.1f requests of %d B, %.1f answers of %d B,"
          " %.1f asides" % (n, servers, record, first["rows"] / 20, first["calls"] / 20, request,
                            first["answers"] / 20, first["answer_bytes"] // max(1, first["answers"]),
                            first["asides"] / 20), flush=True)


def ratios(over, under, what):
    values = [a[what] / b[what] for a, b in zip(over.blocks, under.blocks) if b[what]]
    return "%.2f [%.2f..%.2f]" % (median(values), at(values, 0.1), at(values, 0.9)), median(values)


def table(n, contenders, stolen):
    print("  %-8s %6s %9s %9s %9s %9s   %s" % ("", "lists", "min ms", "p50 ms", "p99 ms", "CPU ms",
                                           "of it broker, hub, sites; RSS of hub, sites MiB"))
    for c in contenders:
        parts = [1000 * median([block["parts"][i] for block in c.blocks]) for i in range(3)]
        print("  %-8s %6d %9.2f %9.2f %9.2f %9.2f   %.2f %.2f %.2f; %.1f %.1f" % (
            c.name, len(c.all_ns), min(c.all_ns) / 1e6, at(c.all_ns, 0.5) / 1e6, at(c.all_ns, 0.99) / 1e6,
            1000 * median([block["cpu"] for block in c.blocks]), *parts, rss_of(c.hub.pid) / 1024,
            sum(rss_of(site.pid) for site in c.sites) / 1024))
    isthmus, first, floor = contenders[:3]
    for over, under, goal, limit in [(isthmus, floor, "at most", 1.5), (first, floor, "at most", 1.5)] + [
            (peer, isthmus, "at least", 5) for peer in contenders[3:]]:
        wall, value = ratios(over, under, "ns")
        met = value <= limit if goal == "at most" else value >= limit
        print("  %s / %s: wall %s, CPU %s; goal: %s %g, %s" % (over.name, under.name, wall,
                                                               ratios(over, under, "cpu")[0], goal, limit,
                                                               "met" if met else "MISSED"))
    print("  %d blocks, load average %.1f, steal %.1f %%" % (len(isthmus.blocks), os.getloadavg()[0], 100 * stolen),
          flush=True)


def version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False, text=True)
    return "%s %s" % (package, done.stdout or "missing")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(file.readline().split()[1]) / 1048576
    print("%d x %s, %.0f GiB, Linux %s, load average %.1f" % (os.cpu_count(), model, memory, platform.release(),
                                                             os.getloadavg()[0]))
    print(", ".join(map(version, ["rabbitmq-server", "erlang-base", "librabbitmq4", "libssl3", "libsodium23",
                                  "python3-oslo.messaging"])))
    print("isthmus and floor: TLS 1.3, EXTERNAL; isthmus also sealed and zstd, calls confirmed and mandatory; peer: "
          "plain TCP, a password.\nframe_max 131072; Erlang +S 2:2 +sbwt none; all on this machine.", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True, help="where isthmus-hub and isthmus-agent are")
    parser.add_argument("--programs", required=True, help="where bench_list is")
    parser.add_argument("--sites", type=int, action="append")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--servers", type=int, default=100, help="of each site")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--no-peer", dest="peer", action="store_false")
    options = parser.parse_args()
    options.sites = options.sites or [10, 100]
    machine()
    bench = Bench(options)
    try:
        began = time.monotonic()
        bench.start()
        print("%d sites enrolled, broker up: %.0f s" % (bench.n_max, time.monotonic() - began), flush=True)
        for n in options.sites:
            bench.compare(n)
    finally:
        bench.end()


if __name__ == "__main__":
    main()
