#!/usr/bin/python3
"""The hub's view and its log of events at scale: N sites that only speak (feeds.c) on a real RabbitMQ, a real hub.

    feeds.py --bin DIR --programs DIR [--sites N] [--rows N] [--rate EVENTS] [--seconds N] [--watchers N]

What is measured, in this order:

  fill      every site states its rows: rows a second into the view, the hub's anonymous memory, the file's size
  pages     100 rows by HTTPS: any sort, tenants of 90 %, 0.01 % of the rows; p50 and p99; and the same bytes from nginx as
            a static file, in the same run: the ratio counts
  restart   kill -9 of the hub to its first page of the whole view
  events    changes at a fixed rate from all sites to watchers: by NDJSON, by AMQP ('isthmus watch --bus'), and by Server-Sent
            Events cut off 100 times: each event once. First each of another server, which is the hardest; then several of
            each, as real sites tell of a server that is made or changed
"""
import argparse
import http.client
import json
import os
import random
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time

import compare

WRK_S = 4
RUNS = [1, 5]  # Events of each server that changes; real ones: 4.8 of one made and deleted (test_feed.py).
MARK = b'"specversion"'  # One in each event.
NINETY = "0" * 32  # feeds.c: the tenant that has nine rows of ten.
SMALL = "%032x" % 7


class Feeds(compare.Bench):
    def __init__(self, options):
        super().__init__(options)
        self.http = 0
        self.process = None
        self.token = secrets.token_hex(24)

    # ------------------------------------------------------------------ the hub

    def start_hub(self):
        """Seconds until it listens."""
        if not self.http:
            self.http = 31000 + 2 * os.getpid() % 800
            with open(self.path("token"), "w", encoding="utf-8") as file:
                file.write(self.token)
            os.chmod(self.path("token"), 0o600)
            with open(self.path("hub.yaml"), "w", encoding="utf-8") as file:
                file.write('state: %s\nhttp: {listen: "127.0.0.1:%d"}\nadmin: {token_file: %s}\n' % (
                    self.hub, self.http, self.path("token")))
        start = time.monotonic()
        self.process = subprocess.Popen([os.path.join(self.options.bin, "isthmus-hub"), "run", "--config",
                                         self.path("hub.yaml")], stdout=self.log, stderr=self.log)
        while True:
            try:
                if self.get("/healthz")[0] == 200:
                    return time.monotonic() - start
            except OSError:
                if self.process.poll() is not None:
                    with open(self.path("log"), encoding="utf-8") as file:
                        print("".join(file.readlines()[-5:]), end="", file=sys.stderr)
                    raise SystemExit("the hub ended: %s" % self.process.returncode) from None
            time.sleep(0.002)

    def tls(self):
        return ssl.create_default_context(cafile=os.path.join(self.hub, "http/ca.pem"))

    def connection(self):
        return http.client.HTTPSConnection("localhost", self.http, context=self.tls(), timeout=60)

    def get(self, path):
        connection = self.connection()
        connection.request("GET", path, headers={"Authorization": "Bearer " + self.token})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def metric(self, name):
        """The sum of its series."""
        page = self.get("/metrics")[1].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines()
                   if re.match(re.escape(name) + r"[ {]", line))

    def memory(self):
        """Anonymous and file-mapped MiB."""
        with open("/proc/%d/smaps_rollup" % self.process.pid, encoding="utf-8") as file:
            kib = {line.split(":")[0]: int(line.split()[1]) for line in file if line.endswith("kB\n")}
        return kib["Anonymous"] / 1024, (kib["Rss"] - kib["Anonymous"]) / 1024

    def hub_cpu(self):
        return compare.cpu_of([self.process.pid])

    # -------------------------------------------------------------------- parts

    def fill(self, feeds):
        total = self.options.rows * self.n_max
        start, cpu, broker = time.monotonic(), self.hub_cpu(), compare.cpu_of([self.pid])
        for program in feeds:
            program.process.stdin.write("state %d\n" % self.options.rows)
            program.process.stdin.flush()
        for program in feeds:
            program.line()
        published = time.monotonic() - start
        while self.metric("isthmus_hub_view_rows") < total:
            if time.monotonic() - start > 1800:
                raise SystemExit("fill: %d of %d rows after 30 min" % (self.metric("isthmus_hub_view_rows"), total))
            time.sleep(0.2)
        took = time.monotonic() - start
        anonymous, mapped = self.memory()
        size = os.stat(os.path.join(self.hub, "hub.db")).st_blocks * 512
        print("fill: %d rows of %d sites in %.1f s (%.0f rows/s; published after %.1f s); CPU hub %.1f us, broker %.1f us "
              "a row; hub: %.0f MiB anonymous, %.0f mapped; file %.0f MiB, %.0f B a row" % (
                  total, self.n_max, took, total / took, published, (self.hub_cpu() - cpu) / total * 1e6,
                  (compare.cpu_of([self.pid]) - broker) / total * 1e6, anonymous, mapped, size / 2**20, size / total),
              flush=True)

    def wrk(self, url, connections, script=None):
        words = ["wrk", "-t1", "-c%d" % connections, "-d%ds" % WRK_S, "--latency", "-H",
                 "Authorization: Bearer " + self.token]
        done = subprocess.run(words + (["-s", script] if script else []) + [url], stdout=subprocess.PIPE, check=True,
                              text=True)
        text = done.stdout
        if "Non-2xx" in text or "Requests/sec" not in text:
            raise SystemExit("wrk: %s" % text)
        unit = {"us": 1e-3, "ms": 1, "s": 1e3}
        percent = {name: float(value) * unit[word] for name, value, word in
                   re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\b", text)}
        return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), percent["50"], percent["99"]

    def pages(self):
        base = "/api/v1/servers?max_age=86400&limit=100"
        kinds = {"newest": "", "name": "&sort=name", "-updated_at": "&sort=-updated_at", "status,host":
                 "&sort=status,name", "tenant 90 %": "&sort=name&project=" + NINETY,
                 "tenant 0.01 %": "&sort=-created_at&project=" + SMALL}
        url = "https://localhost:%d" % self.http
        for name, query in kinds.items():
            status, body = self.get(base + query)
            rows = len(json.loads(body)["items"])
            rate, p50, p99 = self.wrk(url + base + query, 1)
            print("page %-14s %d rows, %6d B: p50 %.2f ms, p99 %.2f ms, %.0f/s on one connection (%d)" % (
                name, rows, len(body), p50, p99, rate, status), flush=True)
        self.against_nginx(url + base, self.get(base)[1])

    def against_nginx(self, url, body):
        if not shutil.which("nginx"):
            print("nginx: not installed, no ratio")
            return
        root = self.path("nginx")
        os.makedirs(root, exist_ok=True)
        with open(os.path.join(root, "page.json"), "wb") as file:
            file.write(body)
        port = self.http - 1
        with open(os.path.join(root, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write("worker_processes 1; daemon off; pid %s/pid; error_log %s/error.log; events {}\n"
                       "http { access_log off; sendfile on; keepalive_requests 1000000; server { listen 127.0.0.1:%d ssl;"
                       " ssl_certificate %s; ssl_certificate_key %s; root %s; } }\n" % (
                           root, root, port, os.path.join(self.hub, "http/cert.pem"),
                           os.path.join(self.hub, "http/key.pem"), root))
        os.chmod(self.work, 0o755)
        server = subprocess.Popen(["nginx", "-c", os.path.join(root, "nginx.conf"), "-g", "user root;"],
                                  stderr=self.log)
        time.sleep(1)
        ratios, rates = [], []
        for _ in range(self.options.blocks):
            mine = self.wrk(url, 16)[0]
            floor = self.wrk("https://localhost:%d/page.json" % port, 16)[0]
            ratios.append(mine / floor)
            rates.append((mine, floor))
        server.terminate()
        server.wait()
        print("page against nginx: %.2f [%.2f..%.2f] of its rate (%.0f against %.0f /s, %d B each, TLS, 16 connections); "
              "goal 1.0, first mark 0.5: %s" % (
                  compare.median(ratios), min(ratios), max(ratios), *rates[0], len(body),
                  "met" if compare.median(ratios) >= 0.5 else "MISSED"), flush=True)

    def restart(self):
        total = self.options.rows * self.n_max
        took = []
        for _ in range(3):
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            start = time.monotonic()
            self.start_hub()
            status, body = self.get("/api/v1/servers?max_age=86400&limit=100")
            took.append(time.monotonic() - start)
            if status != 200 or len(json.loads(body)["items"]) != 100:
                raise SystemExit("restart: no whole page: %s" % body[:300])
        print("restart: kill -9 to the first page of %d rows: %s ms; limit 1000, goal 150: %s" % (
            total, ", ".join("%.0f" % (1000 * s) for s in took), "met" if max(took) <= 1 else "MISSED"), flush=True)

    def follow_lines(self):
        return ["curl", "-sN", "--cacert", os.path.join(self.hub, "http/ca.pem"), "-H", "Authorization: Bearer " +
                self.token, "-H", "Accept: application/x-ndjson",
                "https://localhost:%d/api/v1/events?follow=1&since=oldest&kind=server" % self.http]

    def follow_bus(self):
        """As a console does, by AMQP: verified, what comes twice dropped."""
        folder, ctl = self.path("desk"), self.path("rabbitmqctl")
        with open(ctl, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\nexec bash "%s" ctl "%s" "$@"\n' % (compare.BROKER, self.path("broker")))
        os.chmod(ctl, 0o755)
        self.run("isthmus-hub", "noc", "add", "desk", "--state", self.hub, "--out", folder, "--rabbitmqctl", ctl)
        return [os.path.join(self.options.bin, "isthmus"), "watch", "--bus", folder, "--since", "oldest", "--kind",
                "server", "-f", "json"]

    def events(self, feeds):
        watchers = [Watcher(self, self.follow_lines(), i) for i in range(self.options.watchers - 2)]
        watchers.append(Watcher(self, self.follow_bus(), "bus"))
        watchers.append(CutWatcher(self))
        for watcher in watchers:
            watcher.ready.wait(30)
        before = 0
        for run in RUNS:
            before = self.news(feeds, watchers, run, before)
        for watcher in watchers:
            watcher.stop()

    def news(self, feeds, watchers, run, before):
        """All events so far, after some more."""
        options = self.options
        start, cpu, broker = time.monotonic(), self.hub_cpu(), compare.cpu_of([self.pid])
        for program in feeds:
            program.process.stdin.write("news %d %d %d\n" % (options.rate // len(feeds), options.seconds, run))
            program.process.stdin.flush()
        said = [json.loads(program.line()) for program in feeds]
        published = time.monotonic() - start
        total = sum(part["news_in_all"] for part in said)
        deadline = time.monotonic() + 60
        while any(watcher.n < total for watcher in watchers) and time.monotonic() < deadline:
            time.sleep(0.05)
        took = time.monotonic() - start
        seen = {watcher.n - before for watcher in watchers}
        sustained = seen == {total - before} and took < published + 1
        each = 1e6 / max(1, total - before)
        print("events, %d of each server that changes: %d in %.1f s, %.0f/s (published after %.1f s at %d/s), %d messages "
              "lost, %d watchers saw %s, gaps %d; CPU hub %.1f us, broker %.1f us an event; hub %.0f MiB anonymous: "
              "sustained, %s" % (
                  run, total - before, took, (total - before) / took, published, options.rate,
                  sum(part["lost"] for part in said), len(watchers), sorted(seen),
                  sum(watcher.gaps for watcher in watchers), (self.hub_cpu() - cpu) * each,
                  (compare.cpu_of([self.pid]) - broker) * each, self.memory()[0], "met" if sustained else "MISSED"),
              flush=True)
        return total


class Watcher(threading.Thread):
    """One that follows in a process of its own; Python counts."""

    def __init__(self, bench, words, name):
        super().__init__(daemon=True)
        self.n, self.gaps, self.name_of = 0, 0, name
        self.ready = threading.Event()
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE)
        self.start()

    def run(self):
        self.ready.set()
        pipe, tail = self.process.stdout, b""
        while True:
            piece = os.read(pipe.fileno(), 1 << 20)
            if not piece:
                return
            piece = tail + piece
            self.n += piece.count(MARK)
            self.gaps += piece.count(b'"gap"')
            tail = piece[-(len(MARK) - 1):]  # Too short to hold it: it may be cut in two there.

    def stop(self):
        self.process.kill()
        self.process.wait()


class CutWatcher(threading.Thread):
    """Server-Sent Events, cut off 100 times at random and taken up with Last-Event-ID: whole events count, once each."""

    CUTS = 100
    EVENT = re.compile(rb"id: (\d+)\nevent: ([^\n]*)\ndata: [^\n]*\n\n")

    def __init__(self, bench):
        super().__init__(daemon=True)
        self.bench, self.n, self.gaps, self.place, self.n_cut, self.over = bench, 0, 0, 0, 0, False
        self.ready = threading.Event()
        self.random = random.Random(7)
        self.start()

    def run(self):
        self.ready.set()
        while not self.over:
            connection = self.bench.connection()
            connection.request("GET", "/api/v1/events/stream?kind=server", headers={
                "Authorization": "Bearer " + self.bench.token, "Last-Event-ID": str(self.place)})
            answer = connection.getresponse()
            end = time.monotonic() + self.random.uniform(0.02, 0.2)
            text = b""
            try:
                while not self.over and (self.n_cut >= self.CUTS or time.monotonic() < end):
                    text = self.take(text + answer.read1(1 << 20))
            except http.client.IncompleteRead:  # The hub is being ended.
                self.over = True
            self.n_cut += 1
            connection.close()

    def take(self, text):
        """The rest that is no whole event yet."""
        at = 0
        for match in self.EVENT.finditer(text):
            number, at = int(match[1]), match.end()
            if number <= self.place or match[2] == b"gap":
                self.gaps += 1  # Twice, or missing: neither may be.
            self.place, self.n = number, self.n + (match[2] != b"gap")
        return text[at:]

    def stop(self):
        self.over = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True, help="where isthmus-hub and isthmus-agent are")
    parser.add_argument("--programs", required=True, help="where bench_feeds is")
    parser.add_argument("--sites", type=int, default=100)
    parser.add_argument("--rows", type=int, default=1000, help="of each site")
    parser.add_argument("--rate", type=int, default=20000, help="events a second, all sites together")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--watchers", type=int, default=10, help="at least 3: one by AMQP, one by Server-Sent Events")
    parser.add_argument("--blocks", type=int, default=3)
    options = parser.parse_args()
    sites, options.sites, options.limit = options.sites, [options.sites], 100
    compare.machine()
    bench = Feeds(options)
    try:
        bench.start()
        bench.start_hub()
        each = -(-sites // 2)
        feeds = [bench.program("bench_feeds", bench.path("sites"), first, min(each, sites - first))
                 for first in range(0, sites, each)]
        for program in feeds:
            program.line()
        bench.fill(feeds)
        bench.pages()
        bench.restart()
        bench.events(feeds)
    finally:
        if bench.process:
            bench.process.kill()
            bench.process.wait()
        bench.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
