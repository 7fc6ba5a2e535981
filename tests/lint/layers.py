#!/usr/bin/python3
"""Includes go down only. The table says for each room which rooms it may
include beside itself; amqp.h is for the codec of the bus alone."""

import re
import sys

import source

LOW = {"base"}
LIB = LOW | {"io", "conf", "codec", "obs", "store", "http", "httpd", "nl",
             "bus", "model", "proto"}
AGENT = LIB | {"policy", "os", "projects", "feed", "serve", "keys"}
HUB = LIB | {"sites", "survey", "events", "view", "facade", "global", "api",
             "admin"}

MAY = {
    "lib/base": set(),
    "lib/io": LOW,
    "lib/conf": LOW,
    "lib/nl": LOW,
    "lib/http": LOW | {"io"},
    "lib/httpd": LOW | {"io"},
    "lib/bus": LOW | {"io"},
    "lib/store": LOW | {"io"},
    "lib/obs": LOW | {"io"},
    "lib/codec": LOW | {"proto"},
    "lib/model": LOW | {"codec", "proto"},
    "agent/policy": LIB,
    "agent/os": LIB,
    "agent/keys": LIB,
    "agent/feed": LIB | {"policy", "os"},
    "agent/projects": LIB | {"os"},
    "agent/serve": LIB | {"policy", "os", "projects", "feed", "keys"},
    "agent": AGENT,
    "hub/sites": LIB,
    "hub/survey": LIB | {"sites"},
    "hub/events": LIB | {"sites"},
    "hub/view": LIB | {"sites", "survey", "events"},
    "hub/admin": LIB | {"sites", "survey"},
    "hub/facade": LIB | {"sites", "survey"},
    "hub/global": LIB | {"sites", "survey", "view", "facade"},
    "hub/api": LIB | {"sites", "survey", "events", "view", "admin", "facade"},
    "hub/cli": {"base", "io", "conf", "codec", "http", "bus"},
    "hub": HUB,
}

OURS = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
AMQP = re.compile(r'^\s*#\s*include\s*[<"](?:rabbitmq-c/)?amqp\w*\.h[>"]',
                  re.M)
AMQP_HOME = re.compile(r"lib/bus/amqp\w*\.[ch]$")


def room_of(path):
    """The longest prefix of the path that is a room: deeper folders belong
    to it."""
    parts = path.split("/")[:-1]
    while parts and "/".join(parts) not in MAY:
        parts.pop()
    return "/".join(parts)


def faults_of(path, text):
    room = room_of(path)
    if not room:
        return ["%s: no such room in tests/lint/layers.py" % path]
    own = room.split("/")[-1]
    faults = []
    for include in OURS.findall(text):
        top = include.split("/")[0] if "/" in include else own
        top = "proto" if top == "isthmus" else top
        if top != own and top not in MAY[room]:
            faults.append('%s: %s may not include "%s"'
                          % (path, room, include))
    if AMQP.search(text) and not AMQP_HOME.match(path):
        faults.append("%s: amqp.h is for lib/bus/amqp*.c alone" % path)
    return faults


def main(root):
    paths = source.files(root)
    faults = [fault for path in paths
              for fault in faults_of(path, source.read(root, path))]
    return source.report(faults, len(paths), "includes against the layers")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
