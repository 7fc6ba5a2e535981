#!/usr/bin/python3
"""The agent's tables against real OpenStack: every kind at every site, compared with what the service itself says.

    os_sites.py OS_DRIVER [CLOUDS_YAML [CLOUD...]]

For each kind: the list has just the objects that a plain request of ours finds, in order by each of a few members, up
and down; in pages of two it is the same list; the first object can be shown, another one not. Exit 77 without sites.
"""
import json
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

import yaml

DRIVER = sys.argv[1]
CLOUDS = sys.argv[2] if len(sys.argv) > 2 else "build/demo/clouds.yaml"
PASSED = FAILED = 0

# kind: service, path, collection, member that is the id, members to sort by
KINDS = {
    "server": ("compute", "/v2.1/servers/detail?all_tenants=1", "servers", "id", ("created_at", "name", "updated_at")),
    "flavor": ("compute", "/v2.1/flavors/detail?is_public=None", "flavors", "id", ("name", "ram")),
    "hypervisor": ("compute", "/v2.1/os-hypervisors/detail", "hypervisors", "id", ("name",)),
    "compute-service": ("compute", "/v2.1/os-services", "services", "id", ("host",)),
    "availability-zone": ("compute", "/v2.1/os-availability-zone", "availabilityZoneInfo", "zoneName", ("name",)),
    "server-group": ("compute", "/v2.1/os-server-groups?all_projects=True", "server_groups", "id", ("name",)),
    "network": ("network", "/v2.0/networks", "networks", "id", ("created_at", "id")),
    "subnet": ("network", "/v2.0/subnets", "subnets", "id", ("cidr",)),
    "port": ("network", "/v2.0/ports", "ports", "id", ("created_at", "device")),
    "router": ("network", "/v2.0/routers", "routers", "id", ("name",)),
    "security-group": ("network", "/v2.0/security-groups", "security_groups", "id", ("project",)),
    "floating-ip": ("network", "/v2.0/floatingips", "floatingips", "id", ("status",)),
    "image": ("image", "/v2/images?limit=1000", "images", "id", ("created_at", "size")),
    "volume": ("volumev3", "/volumes/detail?all_tenants=1", "volumes", "id", ("created_at", "size")),
    "snapshot": ("volumev3", "/snapshots/detail?all_tenants=1", "snapshots", "id", ("created_at",)),
    "volume-type": ("volumev3", "/types?is_public=None", "volume_types", "id", ("name",)),
    "project": ("identity", "/v3/projects", "projects", "id", ("name",)),
}
SINGLE = ("quota", "limit", "network-quota", "volume-quota")


def check(name, good, why=""):
    global PASSED, FAILED
    PASSED, FAILED = PASSED + bool(good), FAILED + (not good)
    if not good:
        print("FAILED %s: %s" % (name, str(why)[:600]))


def ask(url, data=None, **headers):
    request = urllib.request.Request(url, data and json.dumps(data).encode(), dict(headers, **{
        "Content-Type": "application/json", "Accept": "application/json"}))
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers, json.load(answer)


class Site:
    def __init__(self, cloud, entry):
        auth = entry["auth"]
        self.cloud = cloud
        headers, answer = ask(auth["auth_url"] + "/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": auth["username"], "password": auth["password"], "domain": {"name": "Default"}}}},
            "scope": {"project": {"name": auth["project_name"], "domain": {"name": "Default"}}}}})
        self.token = headers["X-Subject-Token"]
        self.urls = {service["type"]: endpoint["url"].rstrip("/")
                     for service in answer["token"]["catalog"] for endpoint in service["endpoints"]
                     if endpoint["interface"] == "public"}

    def ids(self, kind):
        service, path, collection, member, _ = KINDS[kind]
        base = self.urls[service]
        if path.startswith("/v"):
            version = path.split("/")[1]
            base = base[:-len(version) - 1] if base.endswith("/" + version) else base
        headers = {"X-Auth-Token": self.token}
        if service == "compute":
            headers["OpenStack-API-Version"] = "compute 2.93"
        return sorted(row[member] for row in ask(base + path, **headers)[1][collection])

    def drive(self, *words):
        run = subprocess.run([DRIVER, CLOUDS, self.cloud, *words], capture_output=True, timeout=300)
        return run.returncode, [line.split("\t") for line in run.stdout.decode().split("\n")[:-1]], run.stderr.decode()


def kind_at(site, kind):
    name = "%s %s" % (site.cloud, kind)
    expected = site.ids(kind)
    for member in KINDS[kind][4]:
        for direction in ("", ":desc"):
            # Something may be made or unmade meanwhile: then once more.
            for _ in range(3):
                code, rows, said = site.drive("list", kind, "-s", member + direction)
                if sorted(row[-1] for row in rows) == expected:
                    break
                expected = site.ids(kind)
            check("%s by %s%s" % (name, member, direction), code == 0 and sorted(r[-1] for r in rows) == expected,
                  (said, rows, expected))
            wanted = sorted(sorted(rows, key=lambda r: r[-1].encode()), key=lambda r: r[0].encode(),
                            reverse=bool(direction))
            check("%s by %s%s: order" % (name, member, direction), rows == wanted, rows)
            code, pages, said = site.drive("list", kind, "-s", member + direction, "-l", "2", "-p")
            check("%s by %s%s: pages" % (name, member, direction), code == 0 and pages == rows, (said, pages, rows))
    if expected:
        code, rows, said = site.drive("show", kind, expected[0])
        check(name + " show", code == 0 and rows and rows[0][0] == expected[0], said)
    code, rows, said = site.drive("show", kind, "00000000-0000-4000-8000-00000000dead")
    check(name + " show none", code == 12 and not rows, (code, said))


def main():
    if not pathlib.Path(CLOUDS).exists():
        print("skipped: there is no %s" % CLOUDS)
        return 77
    entries = yaml.safe_load(pathlib.Path(CLOUDS).read_text())["clouds"]
    for cloud in sys.argv[3:] or [c for c in entries if c.startswith("site-")]:
        try:
            site = Site(cloud, entries[cloud])
        except (urllib.error.URLError, OSError) as error:
            print("skipped: %s is not there: %s" % (cloud, error))
            return 77
        for kind in KINDS:
            if KINDS[kind][0] in site.urls:
                kind_at(site, kind)
        for kind in SINGLE:
            code, rows, said = site.drive("list", kind)
            check("%s %s" % (cloud, kind), code == 0 and len(rows) == 1, said)
        code, rows, said = site.drive("probe")
        check("%s probe" % cloud, code == 0 and all(row[1] == "up" for row in rows), rows)
    print("%d passed, %d failed" % (PASSED, FAILED))
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
