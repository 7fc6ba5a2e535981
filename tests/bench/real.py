#!/usr/bin/python3
"""The demo's real sites: a merged list through the hub against what each site's own Nova takes to answer the same.

    real.py DEMO [--blocks N]            DEMO: build/demo

In each block, in random order: the hub once; all sites directly and at the same time, as the hub asks them, of which the
slowest counts; and each site directly and alone. HTTP keep-alive everywhere. What counts is the median of the blocks'
own differences.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import random
import re
import ssl
import time
import urllib.parse

import yaml

from compare import at, median, rss_of

LIMIT = 100
QUERY = ("/servers/detail?all_tenants=1&limit=%d&sort_key=created_at&sort_dir=desc&sort_key=uuid&sort_dir=asc" % LIMIT)


class Client:
    """One kept connection."""

    def __init__(self, url, path, headers, context=None):
        self.address = urllib.parse.urlsplit(url)
        self.path, self.headers, self.context = path, headers, context
        self.connection = None

    def dial(self):
        if self.address.scheme == "https":
            return http.client.HTTPSConnection(self.address.hostname, self.address.port, timeout=60,
                                               context=self.context)
        return http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=60)

    def ask(self):
        """A server that does not keep connections costs a new one, which is part of its answer."""
        began = time.monotonic()
        for attempt in range(2):
            self.connection = self.connection or self.dial()
            try:
                self.connection.request("GET", self.path, headers=self.headers)
                response = self.connection.getresponse()
                body = response.read()
                break
            except (http.client.HTTPException, ConnectionError):
                self.connection.close()
                self.connection = None
                if attempt:
                    raise
        took = 1000 * (time.monotonic() - began)
        if response.status != 200:
            raise SystemExit("%s: %d %s" % (self.path, response.status, body[:200]))
        return took, body


def log_in(auth, region):
    """A token of the site's admin, and where its Nova is."""
    url = urllib.parse.urlsplit(auth["auth_url"])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    user = {"name": auth["username"], "password": auth["password"], "domain": {"name": auth["user_domain_name"]}}
    scope = {"project": {"name": auth["project_name"], "domain": {"name": auth["project_domain_name"]}}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    connection.request("POST", url.path + "/auth/tokens", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 201:
        raise SystemExit("%s: %d" % (auth["auth_url"], response.status))
    catalog = json.loads(response.read())["token"]["catalog"]
    nova = next(endpoint["url"] for service in catalog if service["type"] == "compute"
                for endpoint in service["endpoints"] if endpoint["interface"] == "public"
                and endpoint["region_id"] in (region, None))
    return response.getheader("X-Subject-Token"), nova


def sites_of(demo):
    with open(os.path.join(demo, "clouds.yaml"), encoding="utf-8") as file:
        clouds = yaml.safe_load(file)["clouds"]
    found = {}
    for name, cloud in sorted(clouds.items()):
        if not name.startswith("site-"):  # Of a tenant, or the hub.
            continue
        token, nova = log_in(cloud["auth"], cloud.get("region_name"))
        base = re.sub(r"/v2\.1/?$|/$", "", urllib.parse.urlsplit(nova).path)
        found[name] = Client(nova, base + "/v2.1" + QUERY,
                             {"X-Auth-Token": token, "Accept": "application/json",
                              "OpenStack-API-Version": "compute 2.93"})
    return found


def hub_of(demo):
    with open(os.path.join(demo, "env"), encoding="utf-8") as file:
        env = dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", file.read(), re.M))
    context = ssl.create_default_context(cafile=env["ISTHMUS_CACERT"])
    return Client(env["ISTHMUS_URL"], "/api/v1/servers?limit=%d&sort=-created_at" % LIMIT,
                  {"Authorization": "Bearer " + env["ISTHMUS_TOKEN"]}, context)


def check(body, sites):
    page = json.loads(body)
    failed = [site for site in page["sites"] if site["state"] != "answered"]
    if failed:
        raise SystemExit("not all sites answered: %s" % failed)
    direct = sum(len(json.loads(site.ask()[1])["servers"]) for site in sites.values())
    if len(page["items"]) != min(LIMIT, direct):
        raise SystemExit("%d rows, the sites have %d" % (len(page["items"]), direct))
    return len(page["items"])


def block(hub, sites, pool, took):
    def through():
        took["hub"].append(hub.ask()[0])

    def together():
        times = list(pool.map(lambda site: site.ask()[0], sites.values()))
        took["slowest"].append(max(times))

    def alone():
        for name, site in sites.items():
            took[name].append(site.ask()[0])

    parts = [through, together, alone]
    for part in random.sample(parts, len(parts)):
        part()


def agents(demo):
    found = []
    for name in sorted(os.listdir(os.path.join(demo, "pid"))):
        with open(os.path.join(demo, "pid", name), encoding="utf-8") as file:
            pid = int(file.read().split()[0])
        with open("/proc/%d/smaps_rollup" % pid, encoding="utf-8") as file:
            private = sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
        found.append("%s %.1f (%.1f)" % (name, rss_of(pid) / 1024, private / 1024))
    return ", ".join(found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("demo")
    parser.add_argument("--blocks", type=int, default=15)
    options = parser.parse_args()
    hub, sites = hub_of(options.demo), sites_of(options.demo)
    for client in [hub, *sites.values()]:
        client.ask()
    n = check(hub.ask()[1], sites)
    took = {name: [] for name in ["hub", "slowest", *sites]}
    with concurrent.futures.ThreadPoolExecutor(len(sites)) as pool:
        for _ in range(options.blocks):
            block(hub, sites, pool, took)
    print("%d real sites, %d servers in all, a list of %d; load average %.1f" % (len(sites), n, LIMIT,
                                                                                os.getloadavg()[0]))
    for name, what in [("hub", "through the hub"), ("slowest", "all sites at the same time, slowest")] + [
            (name, name + ", alone") for name in sites]:
        print("  %-36s min %7.1f  p50 %7.1f  p90 %7.1f ms" % (what, min(took[name]), at(took[name], 0.5),
                                                             at(took[name], 0.9)))
    over = [a / b for a, b in zip(took["hub"], took["slowest"])]
    more = [a - 1.1 * b for a, b in zip(took["hub"], took["slowest"])]
    print("  hub / slowest: %.2f [%.2f..%.2f]; over 1.1 x slowest by %.1f ms [%.1f..%.1f]; goal: at most 5, %s" % (
        median(over), at(over, 0.1), at(over, 0.9), median(more), at(more, 0.1), at(more, 0.9),
        "met" if median(more) <= 5 else "MISSED"))
    print("  RSS MiB (private, dirty): " + agents(options.demo))


if __name__ == "__main__":
    main()
