"""The newest gophercloud, in a region of one site each and in the region of
all: logs in once, walks lists by pages of two, and makes, shows and deletes
one of each service's things. In which order: gophercloud/main.go."""

import os
import re
import shutil

import pytest

import peers

SOURCE = os.path.join(os.path.dirname(__file__), "gophercloud")
PROGRAM = os.path.join(peers.PEERS, "gophercloud")
OLDEST = (1, 25)  # Of Go, for this gophercloud; from 1.21 on it fetches that.

# What Go says of a proxy that does not answer, and of modules that are not
# there because it may not ask one.
PROXY_AWAY = re.compile(r"dial tcp|no such host|proxyconnect|i/o timeout|"
                        r"connection re(fused|set)|TLS handshake timeout|"
                        r"module lookup disabled")


def environment():
    """All that Go fetches and makes stays under build/."""
    env = peers.environment(
        GOPATH=os.path.join(peers.PEERS, "go"), OS_CLOUD="isthmus",
        GOCACHE=os.path.join(peers.PEERS, "go-cache"),
        GOFLAGS="-buildvcs=false -modcacherw")
    env.pop("GOMODCACHE", None)
    return env


def go(*words):
    return peers.run("go", *words, env=environment(), cwd=SOURCE, timeout=900)


def skip_without_go():
    if not shutil.which("go"):
        pytest.skip("Go is not installed")
    found = tuple(map(int, re.search(r"go(\d+)\.(\d+)", peers.run(
        "go", "env", "GOVERSION").stdout or "go0.0").groups()))
    if found < (1, 21):
        pytest.skip("Go %d.%d is too old: %d.%d is needed" % (*found, *OLDEST))


@pytest.fixture(scope="module")
def program():
    skip_without_go()
    fetched = go("mod", "download")
    if fetched.returncode != 0 and PROXY_AWAY.search(fetched.stderr):
        pytest.skip("the Go module proxy cannot be reached")
    if "GOTOOLCHAIN=local" in fetched.stderr:
        pytest.skip("Go is too old: %d.%d is needed" % OLDEST)
    assert fetched.returncode == 0, fetched.stderr
    built = go("build", "-o", PROGRAM, ".")
    assert built.returncode == 0, built.stderr
    return PROGRAM


@pytest.mark.parametrize("region", [*peers.SITES, "global=lon"])
def test_each_service(program, region):
    done = peers.run(program, region, env=environment(), timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for thing in ("keypair", "subnet", "network", "image", "volume", "server"):
        assert "%s: gone" % thing in done.stdout
