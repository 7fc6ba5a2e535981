#!/usr/bin/python3
"""The peer: what an OpenStack program would do today. oslo.messaging has no scatter and gather, so N calls are made from
a pool of threads and the answers are sorted.

    peer.py sites PORT ROWS COUNT FIRST N     N servers, each answering with its first COUNT rows of ROWS
    peer.py hub PORT N LIMIT                  says "ready"; then a line K: K lists, and a line of JSON, as list.c

Plain TCP, a password, no sealing: all in the peer's favour. Several processes serve, for a hundred servers in one need
thousands of threads.
"""
import concurrent.futures
import json
import logging
import sys
import time

import oslo_messaging
from oslo_config import cfg

POOL = 64
logging.disable(logging.WARNING)


def transport(port):
    # The global configuration: with one of its own oslo.messaging's metrics fail.
    cfg.CONF([], project="bench")
    found = oslo_messaging.get_rpc_transport(cfg.CONF, "rabbit://tester:tester@localhost:%d//isthmus" % port)
    cfg.CONF.set_override("rpc_conn_pool_size", POOL, "oslo_messaging_rabbit")
    cfg.CONF.set_override("rabbit_login_method", "PLAIN", "oslo_messaging_rabbit")
    return found


class Servers:
    def __init__(self, rows):
        self.rows = rows

    def list(self, context, limit):
        return self.rows[:limit]


def sites(port, path, count, first, n):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line)[:count] for line in file]
    bus = transport(port)
    servers = []
    for i in range(first, first + n):
        target = oslo_messaging.Target(topic="bench", server="s%03d" % i)
        server = oslo_messaging.get_rpc_server(bus, target, [Servers(rows[i])], executor="threading")
        server.start()
        servers.append(server)
    print("ready", flush=True)
    sys.stdin.read()


def hub(port, n, limit):
    bus = transport(port)
    target = oslo_messaging.Target(topic="bench")
    client = oslo_messaging.RPCClient(bus, target, timeout=30)
    clients = [client.prepare(server="s%03d" % i) for i in range(n)]
    pool = concurrent.futures.ThreadPoolExecutor(min(n, POOL))

    def ask(i):
        rows = clients[i].call({}, "list", limit=limit)
        for row in rows:
            row["site"] = "s%03d" % i
        return rows

    def gather():
        began = time.monotonic_ns()
        rows = [row for part in pool.map(ask, range(n)) for row in part]
        rows.sort(key=lambda row: (row["site"], row["id"]))
        rows.sort(key=lambda row: row["created"], reverse=True)
        del rows[limit:]
        return time.monotonic_ns() - began, len(rows)

    print("ready", flush=True)
    for line in sys.stdin:
        done = [gather() for _ in range(int(line))]
        print(json.dumps({"ns": [ns for ns, _ in done], "rows": sum(rows for _, rows in done)}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "sites":
        sites(int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:7]))
    else:
        hub(*map(int, sys.argv[2:5]))
