#!/usr/bin/python3
"""One site's own API through the hub against the same directly, and region global against the sites.

    relay.py DEMO [--blocks N]           DEMO: build/demo

As the hub's admin at site hkg. In each block, in random order: a small GET of each service, both ways; a small list of
all sites in region global and of the slowest site alone; then an image of 64 MiB up, and down, both ways. At the end
small GETs beside an image of 1 GiB that another process sends, both by the hub. Kept connections. What counts is the median of the blocks' own differences and ratios; p99 is of all blocks together.
"""
import argparse
import http.client
import json
import multiprocessing
import os
import random
import ssl
import time
import urllib.parse

import yaml

from compare import at, median
from real import Client, log_in

SITE = "hkg"
READS = {"compute": "/v2.1/flavors?limit=1", "network": "/v2.0/extensions/agent", "image": "/v2/schemas/member"}
ROUNDS = 8  # Of each read, in a block.
IMAGE = 64 << 20
LARGE = 1 << 30  # Beside which small calls are measured.
BESIDE = 300  # Of these.


def endpoints(auth):
    """Service -> its address at the site, without its version; and a token."""
    token, _ = log_in(auth, SITE)
    url = urllib.parse.urlsplit(auth["auth_url"])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request("GET", url.path + "/auth/catalog", headers={"X-Auth-Token": token})
    catalog = json.loads(connection.getresponse().read())["catalog"]
    return token, {service["type"]: endpoint["url"].split("/v2")[0] for service in catalog
                   for endpoint in service["endpoints"] if endpoint["interface"] == "public"}


class Way:
    """The services by one way: hub or site."""

    def __init__(self, name, bases, token, context):
        self.name, self.bases, self.token, self.context = name, bases, token, context
        self.headers = {"X-Auth-Token": token}
        self.clients = {service: Client(bases[service], urllib.parse.urlsplit(bases[service]).path + path,
                                        self.headers, context) for service, path in READS.items()}

    def exchange(self, method, path, body=None, kind="application/json"):
        client = Client(self.bases["image"], "", {}, self.context)
        connection = client.dial()
        began = time.monotonic()
        connection.request(method, client.address.path + path, body, {**self.headers, "Content-Type": kind})
        response = connection.getresponse()
        data = response.read()
        took = time.monotonic() - began
        if response.status >= 300:
            raise SystemExit("%s %s %s: %d %s" % (self.name, method, path, response.status, data[:200]))
        return took, data

    def image_new(self):
        return json.loads(self.exchange("POST", "/v2/images", json.dumps(
            {"name": "bench", "disk_format": "raw", "container_format": "bare"}))[1])["id"]

    def large(self, image):
        """The path of a process of its own, which must not share connections."""
        piece = os.urandom(1 << 18)
        self.exchange("PUT", "/v2/images/%s/file" % image, (piece for _ in range(LARGE // len(piece))),
                      "application/octet-stream")

    def beside(self):
        """Small calls alone, and beside a large image: milliseconds."""
        small = self.clients["compute"]
        alone = [small.ask()[0] for _ in range(BESIDE)]
        image, times = self.image_new(), []
        worker = multiprocessing.Process(target=self.large, args=(image,))
        try:
            worker.start()
            time.sleep(1)
            while worker.is_alive() and len(times) < BESIDE:
                times.append(small.ask()[0])
            worker.join()
            if worker.exitcode:
                raise SystemExit("the large image did not arrive")
        finally:
            self.exchange("DELETE", "/v2/images/%s" % image)
        return alone, times

    def image(self, data):
        """Seconds up, seconds down."""
        one = self.image_new()
        try:
            up, _ = self.exchange("PUT", "/v2/images/%s/file" % one, data, "application/octet-stream")
            down, got = self.exchange("GET", "/v2/images/%s/file" % one)
            if got != data:
                raise SystemExit("%s: the image came back as another" % self.name)
        finally:
            self.exchange("DELETE", "/v2/images/%s" % one)
        return up, down


def band(values):
    return "[%.2f..%.2f]" % (at(values, 0.1), at(values, 0.9))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("demo")
    parser.add_argument("--blocks", type=int, default=5)
    args = parser.parse_args()
    with open(args.demo + "/clouds.yaml", encoding="utf-8") as file:
        auth = yaml.safe_load(file)["clouds"]["site-" + SITE]["auth"]
    with open(args.demo + "/token", encoding="utf-8") as file:
        admin = file.read().strip()
    context = ssl.create_default_context(cafile=args.demo + "/ca.pem")
    token, bases = endpoints(auth)
    hub = "https://localhost:8443/r/%s/" % SITE
    ways = [Way("directly", bases, token, None), Way("hub", {s: hub + s for s in READS}, admin, context)]
    policy = "%s/agent-%s/policy.yaml" % (args.demo, SITE)
    with open(policy, encoding="utf-8") as file:
        kept = file.read()
    reads = {(way.name, service): [] for way in ways for service in READS}
    medians = {service: [] for service in READS}
    data, ups, downs, rates = os.urandom(IMAGE), [], [], []
    try:
        with open(policy, "w", encoding="utf-8") as file:
            file.write("mode: active\nrules:\n  - {allow: '*', what: '*'}\n")
        reload_agent(args.demo)
        for _ in range(args.blocks):
            for service in READS:
                block = {way.name: [] for way in ways}
                for way in [*ways] * ROUNDS:
                    block[way.name].append(way.clients[service].ask()[0])
                for name, times in block.items():
                    reads[name, service] += times
                medians[service].append(median(block["hub"]) - median(block["directly"]))
            took = {}
            for way in random.sample(ways, 2):
                took[way.name] = way.image(data)
            ups.append(took["directly"][0] / took["hub"][0])
            downs.append(took["directly"][1] / took["hub"][1])
            rates.append([IMAGE / seconds / (1 << 20) for name in ("directly", "hub") for seconds in took[name]])
        alone, beside = ways[1].beside()
    finally:
        with open(policy, "w", encoding="utf-8") as file:
            file.write(kept)
        reload_agent(args.demo)
    print("relay at %s, %d blocks" % (SITE, args.blocks))
    for service in READS:
        direct, by_hub = reads["directly", service], reads["hub", service]
        print("  GET %-8s p50 %.1f ms directly, %.1f by the hub: %+.1f ms %s (goal 3); p99 %.1f and %.1f, ratio %.2f "
              "(goal 1.15)" % (service, median(direct), median(by_hub), median(medians[service]),
                               band(medians[service]), at(direct, 0.99), at(by_hub, 0.99),
                               at(by_hub, 0.99) / at(direct, 0.99)))
    rate = [median([row[i] for row in rates]) for i in range(4)]
    print("  image of %d MiB up %.0f MiB/s directly, %.0f by the hub: %.2f %s (goal 0.5); down %.0f and %.0f: %.2f %s" % (
        IMAGE >> 20, rate[0], rate[2], median(ups), band(ups), rate[1], rate[3], median(downs), band(downs)))
    print("  %d small GETs beside an image of %d MiB: p50 %.1f ms, p99 %.1f; alone %.1f and %.1f: p99 %.2f (goal 2)" % (
        len(beside), LARGE >> 20, median(beside), at(beside, 0.99), median(alone), at(alone, 0.99),
        at(beside, 0.99) / at(alone, 0.99)))


def reload_agent(demo):
    with open("%s/pid/agent-%s" % (demo, SITE), encoding="utf-8") as file:
        os.kill(int(file.read().split()[0]), 1)
    time.sleep(0.5)


if __name__ == "__main__":
    main()
