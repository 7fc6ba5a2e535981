"""Tests on the demo: three real OpenStack sites, a real RabbitMQ, agents and
a hub. It must be up (deploy/demo); what a test breaks it heals.

FULL in the environment makes bounds on time exact and the tests long."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import cloud  # noqa: E402
import rig  # noqa: E402

FIGURES = []


@pytest.fixture(scope="session", autouse=True)
def demo_is_up():
    if os.geteuid() != 0:
        pytest.exit("run as root: the demo's files are its own", 2)
    if not os.path.isdir(os.path.join(rig.DEMO, "pid")):
        pytest.exit("the demo is not up: sudo deploy/demo", 2)
    rig.heal()
    yield
    rig.heal()


@pytest.fixture
def healed():
    """For tests that break things: whatever happens, all is whole again."""
    yield
    rig.heal()


@pytest.fixture(scope="session")
def clouds():
    """Site -> its own services, asked directly."""
    return {site: cloud.Cloud(site) for site in rig.SITES}


@pytest.fixture
def figure(request):
    """figure(text): kept for the summary, whatever becomes of the test."""
    def keep(text):
        FIGURES.append("%s: %s" % (request.node.name, text))
    return keep


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("figures")
    for text in FIGURES:
        terminalreporter.write_line("figure  " + text)
