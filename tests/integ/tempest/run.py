#!/usr/bin/python3
"""Tempest against one site of the running demo, and against the same site
through the hub: what passes directly must pass through the hub.

    run.py --quick           what quick.txt names, three minutes each way
    run.py --all             all of identity v3, compute, network, image and
                             volume, half an hour each way
    run.py REGEX...          the tests whose names match

    --site SITE              hkg, unless named
    --region REGION          at the hub; the site, unless named
    --only direct|hub        one way only
    --keep DIRECTORY         leaves configuration, logs and results there

Prints how many passed either way and each test that passes directly and fails
through the hub; exit status 1 if there is one. Tests that skip.txt names are
left out. The tests run as two tenants that both ways know, with what their
projects hold already; what they make they delete. Nobody else may make things
in the two projects meanwhile. Needs Debian's python3-tempest.
"""

import argparse
import configparser
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.abspath(os.path.join(HERE, "../../.."))
BUILD = os.environ.get("ISTHMUS_BUILD", os.path.join(REPO, "build"))
DEMO = os.path.join(BUILD, "demo")
HUB = "https://localhost:8443/identity/v3"

SERVICES = ["identity/v3", "compute", "network", "image", "volume"]
# Of each site those that its agent maps for its own users; the first one's
# network is the servers'.
TENANTS = {"hkg": ["shop", "media"], "lon": ["shop", "bank"],
           "sjc": ["media", "lab"]}
TEST_SECONDS = 180  # For one test.


# -------------------------------------------------------------- configuration


class Way:
    """How the tests reach the site."""

    def __init__(self, name, url, domain, domain_id, region, ca):
        self.name, self.url, self.region, self.ca = name, url, region, ca
        self.domain, self.domain_id = domain, domain_id


def clouds():
    with open(os.path.join(DEMO, "clouds.yaml"), encoding="utf-8") as file:
        return yaml.safe_load(file)["clouds"]


def ways(site, region):
    url = clouds()["site-" + site]["auth"]["auth_url"]
    return [Way("direct", url, "Default", "default", site, None),
            Way("hub", HUB, site, site, region, os.path.join(DEMO, "ca.pem"))]


def is_seeded(image):
    """Not of a test that runs beside this."""
    return image.status == "active" and re.match("debian|ubuntu", image.name)


def resources(way, auth):
    """What the tests need to be told, asked the way that they will ask."""
    import openstack  # Here alone: the tests do without.

    cloud = openstack.connection.Connection(
        session=None, region_name=way.region, identity_api_version="3",
        verify=way.ca or True,
        auth={"auth_url": way.url, "username": auth["username"],
              "password": auth["password"],
              "project_name": auth["project_name"],
              "user_domain_name": way.domain,
              "project_domain_name": way.domain})
    images = sorted(cloud.image.images(), key=lambda image: image.name)
    flavors = sorted(cloud.compute.flavors(), key=lambda flavor: flavor.ram)
    networks = list(cloud.network.networks())
    inside = [each for each in networks
              if each.name == auth["project_name"] + "-net"]
    outside = [each for each in networks if each.is_router_external]
    return {"images": [image.id for image in images if is_seeded(image)],
            "flavors": [flavor.id for flavor in flavors],
            # A region of several sites has one in each: no name is given.
            "fixed": inside[0].name if len(inside) == 1 else None,
            "public": outside[0]}


def accounts(site, way, found):
    entries = []
    for project in TENANTS[site]:
        auth = clouds()["%s-%s" % (site, project)]["auth"]
        entries.append({"username": auth["username"],
                        "password": auth["password"],
                        "project_name": project,
                        "domain_name": way.domain, "roles": ["member"]})
    if found["fixed"]:
        entries[0]["resources"] = {"network": found["fixed"]}
    return entries


def configuration(way, folder, found):
    public = found["public"]
    return {
        "DEFAULT": {"debug": "true", "log_file": "tempest.log",
                    "log_dir": folder},
        "oslo_concurrency": {"lock_path": os.path.join(folder, "lock")},
        "auth": {"use_dynamic_credentials": "false",
                 "test_accounts_file": os.path.join(folder, "accounts.yaml"),
                 "create_isolated_networks": "false"},
        "identity": {"uri_v3": way.url, "auth_version": "v3",
                     "region": way.region, "v3_endpoint_type": "public",
                     "default_domain_id": way.domain_id,
                     **({"ca_certificates_file": way.ca} if way.ca else {})},
        "identity-feature-enabled": {
            "api_v2_admin": "false", "application_credentials": "true",
            "security_compliance": "false", "project_tags": "true"},
        "service_available": {
            "cinder": "true", "neutron": "true", "glance": "true",
            "nova": "true", "swift": "false", "horizon": "false"},
        "compute": {
            "image_ref": found["images"][0],
            "image_ref_alt": found["images"][1],
            "flavor_ref": found["flavors"][0],
            "flavor_ref_alt": found["flavors"][1],
            "fixed_network_name": found["fixed"] or "", "build_interval": "1",
            "build_timeout": "60", "max_microversion": "latest"},
        "compute-feature-enabled": {
            "resize": "true", "pause": "true", "suspend": "true",
            "shelve": "true", "snapshot": "true", "rescue": "true",
            "console_output": "true", "interface_attach": "true",
            "personality": "false", "vnc_console": "false",
            "attach_encrypted_volume": "false", "metadata_service": "false",
            "config_drive": "true", "change_password": "true"},
        "network": {
            "public_network_id": public.id,
            "floating_network_name": public.name,
            "project_network_cidr": "10.196.0.0/16", "build_interval": "1",
            "build_timeout": "60"},
        "network-feature-enabled": {
            "api_extensions": "all", "ipv6": "true",
            "ipv6_subnet_attributes": "true", "floating_ips": "true",
            "port_security": "true"},
        "image": {"build_timeout": "60", "build_interval": "1"},
        "image-feature-enabled": {"import_image": "true"},
        "volume": {
            "catalog_type": "volumev3", "build_timeout": "60",
            "build_interval": "1", "volume_size": "1",
            "max_microversion": "latest", "min_microversion": "3.0"},
        "volume-feature-enabled": {
            "backup": "false", "snapshot": "true", "clone": "true",
            "manage_volume": "false", "extend_attached_volume": "false"},
        "validation": {"run_validation": "false"},
    }


def configure(site, way, folder):
    tenant = clouds()["%s-%s" % (site, TENANTS[site][0])]
    found = resources(way, tenant["auth"])
    os.makedirs(os.path.join(folder, "lock"))
    parser = configparser.RawConfigParser(default_section=None)
    parser.read_dict(configuration(way, folder, found))
    with open(os.path.join(folder, "tempest.conf"), "w",
              encoding="utf-8") as file:
        parser.write(file)
    path = os.path.join(folder, "accounts.yaml")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w",
              encoding="utf-8") as file:
        yaml.safe_dump(accounts(site, way, found), file)


# ------------------------------------------------------------ which tests


def lines(name):
    """Of a list beside this file: what stands before the '#' of each line."""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        words = (line.split("#")[0].strip() for line in file)
        return [word for word in words if word]


def flat(suite):
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from flat(each)
        else:
            yield each


def name_of(test):
    return re.sub(r"\[.*\]$", "", test.id())


def discover():
    """All tests of the services, by name."""
    import tempest

    top = os.path.dirname(tempest.__path__[0])
    found = {}
    for service in SERVICES:
        folder = os.path.join(tempest.__path__[0], "api", service)
        suite = unittest.TestLoader().discover(folder, top_level_dir=top)
        found.update((name_of(test), test) for test in flat(suite))
    return found


def every_name():
    """Tempest replaces the excepthook of a process and more; not of this. It
    writes log lines between the names."""
    with tempfile.TemporaryDirectory() as folder:  # It leaves a log behind.
        said = subprocess.run(
            [sys.executable, os.path.abspath(__file__), "--names"], check=True,
            env=dict(os.environ, PYTHONWARNINGS="ignore"), text=True,
            cwd=folder, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL).stdout
    return [word for word in said.split() if word.startswith("tempest.api.")]


def chosen(regexes):
    skips = [re.compile(skip) for skip in lines("skip.txt")]
    wanted = [re.compile(regex) for regex in regexes]
    return sorted(name for name in every_name()
                  if any(want.search(name) for want in wanted)
                  and not any(skip.search(name) for skip in skips))


# ---------------------------------------------------------------- running


def writer(file):
    """A result that writes a line of JSON for each test, and for each class
    that is skipped or cannot be set up."""
    import testtools

    class Writer(testtools.TestResult):
        def startTest(self, test):
            super().startTest(test)
            self.start = time.monotonic()

        def write(self, test, status, details=None):
            seconds = time.monotonic() - self.start
            texts = {name: content.as_text()
                     for name, content in (details or {}).items()}
            json.dump({"test": name_of(test), "status": status,
                       "seconds": round(seconds, 3), "details": texts}, file)
            file.write("\n")
            file.flush()

        def addSuccess(self, test, details=None):
            self.write(test, "success")

        def addSkip(self, test, reason=None, details=None):
            self.write(test, "skip", details or {
                "reason": testtools.content.text_content(str(reason))})

        def addFailure(self, test, err=None, details=None):
            self.write(test, "failure", details or {
                "traceback": testtools.content.TracebackContent(err, test)})

        addError = addFailure

    result = Writer()
    result.start = time.monotonic()
    return result


def class_of(name):
    return name.rpartition(".")[0]


def await_keystone(url):
    """One that is being restarted is no finding."""
    host = urllib.parse.urlsplit(url)
    for _ in range(60):
        try:
            socket.create_connection((host.hostname, host.port), 5).close()
            return
        except OSError:
            time.sleep(1)


def child(names_file, results_file):
    """Runs the tests in this process, which Tempest's configuration binds."""
    from tempest import config

    tests = discover()
    with open(names_file, encoding="utf-8") as file:
        names = file.read().split()
    with open(results_file, "w", encoding="utf-8") as file:
        result = writer(file)
        for _, group in itertools.groupby(names, class_of):
            await_keystone(config.CONF.identity.uri_v3)
            unittest.TestSuite(tests[name] for name in group).run(result)


class Results:
    """Of one way: name -> what was told of it. What is told of a whole class
    when it cannot be set up holds for each of its tests."""

    def __init__(self, names, path):
        told, classes = {}, {}
        with open(path, encoding="utf-8") as file:
            for each in map(json.loads, file):
                whole = re.fullmatch(r"(?:setUp|tearDown)Class \((.*)\)",
                                     each["test"])
                (classes if whole else told)[
                    whole[1] if whole else each["test"]] = each
        nothing = {"status": "not run", "details": {}, "seconds": 0}
        self.all = {name: told.get(name) or
                    classes.get(class_of(name), nothing)
                    for name in names}
        self.passed = {name for name, each in self.all.items()
                       if each["status"] == "success"}
        self.skipped = {name for name, each in self.all.items()
                        if each["status"] == "skip"}


def run(way, names, folder, suffix=""):
    names_file = os.path.join(folder, "tests" + suffix)
    with open(names_file, "w", encoding="utf-8") as file:
        file.write("".join(name + "\n" for name in names))
    results = os.path.join(folder, "results" + suffix)
    env = dict(os.environ, TEMPEST_CONFIG_DIR=folder,
               TEMPEST_CONFIG="tempest.conf", OS_LOG_CAPTURE="1",
               OS_TEST_TIMEOUT=str(TEST_SECONDS), PYTHONWARNINGS="ignore")
    start = time.monotonic()
    with open(os.path.join(folder, "output" + suffix), "wb") as output:
        subprocess.run([sys.executable, os.path.abspath(__file__), "--child",
                        names_file, results], env=env, cwd=folder,
                       stdout=output, stderr=output, check=True)
    found = Results(names, results)
    print("%s%s: %d passed, %d skipped, %d failed, %d s" % (
        way.name, suffix, len(found.passed), len(found.skipped),
        len(names) - len(found.passed) - len(found.skipped),
        time.monotonic() - start), flush=True)
    return found


def reason(told):
    """The last line that says something, of a traceback."""
    text = told["details"].get("traceback") or told["details"].get(
        "reason") or told["status"]
    said = [line for line in text.splitlines()
            if line.strip() and not line.startswith(" ")]
    return said[-1][:200] if said else told["status"]


def compare(direct, hub):
    print("direct %d passed, hub %d passed" % (
        len(direct.passed), len(hub.passed & direct.passed)))
    failed = sorted(direct.passed - hub.passed)
    for name in failed:
        print("FAILED %s: %s" % (name, reason(hub.all[name])))
    return 1 if failed else 0


def again(way, folder, direct, hub):
    """What fails through the hub alone has a second chance, on its own: the
    machine may be busy."""
    failed = sorted(direct.passed - hub.passed)
    if not failed:
        return
    second = run(way, failed, folder, "-again")
    for name in sorted(second.passed):
        print("passes the second time: %s: %s" % (
            name, reason(hub.all[name])))
    hub.all.update(second.all)
    hub.passed |= second.passed


def both(options, folder):
    names = chosen([""] if options.all else
                   options.regex or lines("quick.txt"))
    if not names:
        sys.exit("no test has such a name")
    print("%d tests" % len(names), flush=True)
    results = {}
    for way in ways(options.site, options.region or options.site):
        if options.only in (None, way.name):
            place = os.path.join(folder, way.name)
            configure(options.site, way, place)
            results[way.name] = run(way, names, place)
    if options.only:
        return 0
    again(way, place, results["direct"], results["hub"])
    return compare(results["direct"], results["hub"])


def main():
    if sys.argv[1:2] == ["--names"]:
        print("\n".join(discover()))
        return 0
    if sys.argv[1:2] == ["--child"]:
        return child(*sys.argv[2:])
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--site", default="hkg", choices=sorted(TENANTS))
    parser.add_argument("--region")
    parser.add_argument("--only", choices=["direct", "hub"])
    parser.add_argument("--keep")
    parser.add_argument("regex", nargs="*")
    options = parser.parse_args()
    if not (options.quick or options.all or options.regex):
        parser.error("--quick, --all or a regex")
    if options.keep:
        return both(options, os.path.abspath(options.keep))
    with tempfile.TemporaryDirectory() as folder:
        return both(options, folder)


if __name__ == "__main__":
    sys.exit(main())
