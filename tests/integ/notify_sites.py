#!/usr/bin/python3
"""The agent's ear at real services: what a network, an image and a volume go through is told, and nothing is missed that
the API has answered.

    notify_sites.py NOTIFY_DRIVER [CLOUDS_YAML [SITE...]]

Exit 77 without sites.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

DRIVER = sys.argv[1]
CLOUDS = sys.argv[2] if len(sys.argv) > 2 else "build/demo/clouds.yaml"
SITES = sys.argv[3:] or ["hkg"]
SCRIPT = pathlib.Path(__file__).parent.parent / "sites/sites"

try:
    import openstack
except ImportError:
    print("python3-openstacksdk is not installed")
    sys.exit(77)
if not os.path.exists(CLOUDS):
    print("no sites: %s is not there" % CLOUDS)
    sys.exit(77)
os.environ["OS_CLIENT_CONFIG_FILE"] = CLOUDS
FAILED = 0


def listen(program, lines):
    for line in program.stdout:
        lines.append((time.monotonic(), line.rstrip("\n")))


def expect(lines, kind, identity, what, since, seconds=10):
    global FAILED
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told = [at for at, line in lines if line == "touch %s %s" % (kind, identity) and at >= since]
        if told:
            print("%s %s: told %d ms after it was asked for" % (kind, what, (told[-1] - since) * 1000))
            return
        time.sleep(0.05)
    FAILED += 1
    print("FAILED %s %s of %s is not told" % (kind, what, identity))


def walk(site, lines):
    cloud = openstack.connect(cloud="site-" + site)
    since = time.monotonic()
    network = cloud.network.create_network(name="notify-test")
    try:
        expect(lines, "network", network.id, "create", since)
        since = time.monotonic()
        subnet = cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.99.0.0/24")
        expect(lines, "subnet", subnet.id, "create", since)
    finally:
        since = time.monotonic()
        cloud.network.delete_network(network)
    expect(lines, "network", network.id, "delete", since)
    expect(lines, "subnet", subnet.id, "delete", since)
    since = time.monotonic()
    image = cloud.image.create_image(name="notify-test", data=b"x" * 4096, disk_format="raw", container_format="bare")
    expect(lines, "image", image.id, "create", since)
    since = time.monotonic()
    cloud.image.delete_image(image)
    expect(lines, "image", image.id, "delete", since)
    since = time.monotonic()
    volume = cloud.block_storage.create_volume(size=1, name="notify-test")
    expect(lines, "volume", volume.id, "create", since, 30)
    cloud.block_storage.wait_for_status(volume, "available", wait=60)
    since = time.monotonic()
    cloud.block_storage.delete_volume(volume)
    expect(lines, "volume", volume.id, "delete", since)
    since = time.monotonic()
    project = cloud.identity.create_project(name="notify-test")
    expect(lines, "project", project.id, "create", since)
    since = time.monotonic()
    cloud.identity.delete_project(project)
    expect(lines, "project", project.id, "delete", since)


def main():
    for site in SITES:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "url")
            path.touch(0o600)
            path.write_text(subprocess.run([SCRIPT, "listener", site], check=True, stdout=subprocess.PIPE,
                                           encoding="utf-8").stdout)
            program = subprocess.Popen([DRIVER, path, site], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, encoding="utf-8")
            lines = []
            threading.Thread(target=listen, args=(program, lines), daemon=True).start()
            time.sleep(2)
            try:
                walk(site, lines)
            finally:
                program.stdin.close()
                program.wait(30)
            print(lines[-1][1] if lines else "nothing was heard")
    sys.exit(1 if FAILED else 0)


main()
