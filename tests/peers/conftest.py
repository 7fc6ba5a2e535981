"""Clients that others wrote, in their newest versions from where they are
published, against the demo's hub. It must be up (deploy/demo); a test that
cannot fetch its client is skipped and says so."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import peers  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def demo_is_up():
    if not os.path.exists(peers.CLOUDS):
        pytest.exit("the demo is not up: sudo deploy/demo", 2)


@pytest.fixture(scope="session")
def venv():
    """The newest client and SDK: the folder of their programs."""
    return peers.install_openstackclient()
