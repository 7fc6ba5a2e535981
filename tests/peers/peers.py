"""What the tests of foreign clients share: where the demo is, and how a client
is fetched. Of each only the newest version is of interest, so it is asked for
anew in each run; what was fetched before is kept and not fetched again."""

import os
import re
import subprocess

import pytest

REPO = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("ISTHMUS_BUILD", os.path.join(REPO, "build"))
CLOUDS = os.path.join(BUILD, "demo/clouds.yaml")
HUB = "https://localhost:8443"
PEERS = os.path.join(BUILD, "peers")
SITES = ["hkg", "lon"]  # Where shop acts.
REGIONS = [*SITES, "global"]


def environment(**more):
    """Without whatever cloud the caller's shell is set up for."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("OS_")}
    env["OS_CLIENT_CONFIG_FILE"] = CLOUDS
    env.update(more)
    return env


def run(*words, timeout=300, **more):
    done = subprocess.run(words, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, check=False, **more)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


# What pip says of an index that does not answer. One that answers and has no
# such package is a failure.
PYPI_AWAY = re.compile(r"NewConnectionError|ConnectTimeout|ReadTimeout|"
                       r"ProxyError|SSLError|NameResolutionError|"
                       r"ConnectionResetError|ProtocolError")


def install_openstackclient():
    venv = os.path.join(PEERS, "venv")
    done = run("/usr/bin/python3", "-m", "venv", venv)
    assert done.returncode == 0, \
        "apt install python3-venv? " + done.stdout + done.stderr
    done = run(venv + "/bin/pip", "--retries", "1", "--timeout", "20",
               "install", "--upgrade", "--upgrade-strategy", "eager",
               "python-openstackclient", "openstacksdk", timeout=900)
    if done.returncode != 0 and PYPI_AWAY.search(done.stdout + done.stderr):
        pytest.skip("PyPI cannot be reached")
    assert done.returncode == 0, done.stdout + done.stderr
    return venv + "/bin/"
