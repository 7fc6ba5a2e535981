"""A site's own services, asked directly: a small Keystone client, and the
tables that say where each kind lies and what its rows are sorted by. Written
from the services' API references, not from the product's tables."""

import datetime
import decimal
import json
import time
import urllib.error
import urllib.request

import yaml

import rig

# kind: service, path, member that holds the rows. "*keypair": each row lies
# in a member of that name. A dot: a member of a member.
KINDS = {
    "servers": ("compute", "/servers/detail?all_tenants=1&limit=1000",
                "servers"),
    "flavors": ("compute", "/flavors/detail?is_public=None&limit=1000",
                "flavors"),
    "keypairs": ("compute", "/os-keypairs?limit=1000", "keypairs*keypair"),
    "server-groups": ("compute", "/os-server-groups?all_projects=True",
                      "server_groups"),
    "hypervisors": ("compute", "/os-hypervisors/detail", "hypervisors"),
    "compute-services": ("compute", "/os-services", "services"),
    "availability-zones": ("compute", "/os-availability-zone",
                           "availabilityZoneInfo"),
    "quotas": ("compute", "/os-quota-sets/{project}", "quota_set"),
    "limits": ("compute", "/limits", "limits.absolute"),
    "networks": ("network", "/v2.0/networks", "networks"),
    "subnets": ("network", "/v2.0/subnets", "subnets"),
    "ports": ("network", "/v2.0/ports", "ports"),
    "routers": ("network", "/v2.0/routers", "routers"),
    "security-groups": ("network", "/v2.0/security-groups",
                        "security_groups"),
    "floating-ips": ("network", "/v2.0/floatingips", "floatingips"),
    "network-quotas": ("network", "/v2.0/quotas/{project}", "quota"),
    "images": ("image", "/v2/images?limit=1000", "images"),
    "volumes": ("volume", "/volumes/detail?all_tenants=1", "volumes"),
    "snapshots": ("volume", "/snapshots/detail?all_tenants=1", "snapshots"),
    "volume-types": ("volume", "/types?is_public=None", "volume_types"),
    "volume-quotas": ("volume", "/os-quota-sets/{project}", "quota_set"),
    "projects": ("identity", "/projects", "projects"),
}

TYPES = {"compute": ["compute"], "network": ["network"], "image": ["image"],
         "volume": ["volumev3", "block-storage"], "identity": ["identity"],
         "placement": ["placement"]}

# What the agents ask for: the newest that the services of this release have.
VERSIONS = {"compute": "compute 2.93", "volume": "volume 3.70"}

# Members that change by themselves between two questions.
RESTLESS = {"compute-services": {"updated_at"}}

# What a sort key is called in a kind; the rest are called as they are.
MEMBERS = {
    "servers": {"created_at": "created", "updated_at": "updated",
                "project": "tenant_id", "user": "user_id",
                "host": "OS-EXT-SRV-ATTR:host",
                "zone": "OS-EXT-AZ:availability_zone",
                "launched_at": "OS-SRV-USG:launched_at"},
    "flavors": {"size": "disk"},
    "keypairs": {"id": "name"},
    "hypervisors": {"name": "hypervisor_hostname"},
    "compute-services": {"name": "binary"},
    "availability-zones": {"id": "zoneName", "name": "zoneName"},
    "subnets": {"network": "network_id"},
    "ports": {"network": "network_id", "device": "device_id"},
    "floating-ips": {"name": "floating_ip_address"},
    "images": {"project": "owner"},
    "volumes": {"project": "os-vol-tenant-attr:tenant_id",
                "zone": "availability_zone"},
    "snapshots": {
        "project": "os-extended-snapshot-attributes:project_id",
        "volume": "volume_id"},
    "projects": {"status": "enabled", "domain": "domain_id"},
}
NEUTRON = ["networks", "subnets", "ports", "routers", "security-groups",
           "floating-ips"]
for _kind in NEUTRON:
    MEMBERS.setdefault(_kind, {})["project"] = "project_id"
TIMES = {"created_at", "updated_at", "launched_at"}


class Cloud:
    """One site, as its admin."""

    def __init__(self, site):
        with open(rig.DEMO + "/clouds.yaml", encoding="utf-8") as file:
            entry = yaml.safe_load(file)["clouds"]["site-" + site]
        self.site = site
        self.auth = entry["auth"]
        self.token = self.project = None
        self.urls = {}
        self.login()

    def login(self):
        scope = {"name": self.auth["project_name"],
                 "domain": {"name": self.auth["project_domain_name"]}}
        user = {"name": self.auth["username"],
                "password": self.auth["password"],
                "domain": {"name": self.auth["user_domain_name"]}}
        body = {"auth": {"identity": {"methods": ["password"],
                                      "password": {"user": user}},
                         "scope": {"project": scope}}}
        headers, answer = self.request(
            "POST", self.auth["auth_url"] + "/auth/tokens", body)
        self.token = headers["X-Subject-Token"]
        self.project = answer["token"]["project"]["id"]
        for entry in answer["token"]["catalog"]:
            for endpoint in entry["endpoints"]:
                if endpoint["interface"] == "public":
                    self.urls[entry["type"]] = endpoint["url"].rstrip("/")

    def url(self, service):
        if service == "identity":
            return self.auth["auth_url"]
        return next(self.urls[name] for name in TYPES[service]
                    if name in self.urls)

    def request(self, method, url, body=None, version=None):
        request = urllib.request.Request(
            url, method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json"} if body is not None
            else {})
        if self.token:
            request.add_header("X-Auth-Token", self.token)
        if version:
            request.add_header("OpenStack-API-Version", version)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as response:
            text = response.read()
            return response.headers, exact(text) if text else None

    def ask(self, service, path, method="GET", body=None):
        return self.request(
            method, self.url(service) + path.format(project=self.project),
            body, VERSIONS.get(service))[1]

    def rows(self, kind):
        """The native objects of a kind."""
        service, path, where = KINDS[kind]
        collection, _, wrapper = where.partition("*")
        found = self.ask(service, path)
        for name in collection.split("."):
            found = found[name]
        if isinstance(found, dict):
            found = [found]
        assert len(found) < 1000, "more than one page of " + kind
        return [row[wrapper] for row in found] if wrapper else found


def exact(text):
    """JSON as it is written: no number is rounded."""
    return json.loads(text, parse_float=decimal.Decimal)


def id_of(kind, row):
    return str(row.get(MEMBERS.get(kind, {}).get("id", "id"), ""))


def key_of(kind, row, key):
    """Comparable as the hub's order has it: absent before all else, times as
    instants, texts by their bytes."""
    value = row.get(MEMBERS.get(kind, {}).get(key, key))
    if value is None:
        return (0,)
    if key in TIMES:
        return (1, instant(value))
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, (int, decimal.Decimal)):
        return (1, value)
    return (1, value.encode())


def instant(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return moment


def default_sort(kind):
    if kind in ("quotas", "limits", "network-quotas", "volume-quotas"):
        return "id"
    timeless = {"flavors", "keypairs", "server-groups", "hypervisors",
                "compute-services", "availability-zones", "volume-types",
                "projects"}
    return "name" if kind in timeless else "-created_at"


def in_order(kind, rows, sort=None):
    """'rows' are pairs of site and object. Least key last: sorting is
    stable."""
    rows = sorted(rows, key=lambda row: id_of(kind, row[1]).encode())
    rows.sort(key=lambda row: row[0])
    for key in reversed((sort or default_sort(kind)).split(",")):
        rows.sort(key=lambda row, name=key.lstrip("-"): key_of(
            kind, row[1], name), reverse=key.startswith("-"))
    return rows


# Their rows have no id: they count as their project's.
NAMELESS = ("limits", "network-quotas")


def union(clouds, kind, sort=None, sites=None):
    """What the hub's list must be: each object with its site."""
    rows = [(site, row) for site in sites or rig.SITES
            for row in clouds[site].rows(kind)]
    if kind in NAMELESS:
        rows.sort(key=lambda pair: clouds[pair[0]].project)
        return [dict(row, site=site) for site, row in rows]
    return [dict(row, site=site) for site, row in in_order(kind, rows, sort)]


def calm(kind, rows):
    """Without the members that never keep still."""
    return [{name: value for name, value in row.items()
             if name not in RESTLESS.get(kind, ())} for row in rows]


def wait_status(cloud, server, status, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        row = cloud.ask("compute", "/servers/" + server)["server"]
        if row["status"] == status:
            return row
        assert time.monotonic() < deadline, (server, row["status"], status)
        time.sleep(0.5)


def http_status(call):
    """The status that a call fails with."""
    try:
        call()
    except urllib.error.HTTPError as error:
        return error.code
    return 200
