"""Questions to the newest openstacksdk, for test_openstackclient.py: prints
one JSON document. Run by the Python of its own environment, as
sdk.py pages|endpoints"""

import json
import sys

import openstack

SITES = ["hkg", "lon"]

# How to list them, and what region global sorts them by; newest first if it is
# a time.
KINDS = {
    "servers": (lambda cloud: cloud.compute.servers, "created_at"),
    "volumes": (lambda cloud: cloud.block_storage.volumes, "created_at"),
    "images": (lambda cloud: cloud.image.images, "created_at"),
    "networks": (lambda cloud: cloud.network.networks, "id"),
    "subnets": (lambda cloud: cloud.network.subnets, "id"),
    "ports": (lambda cloud: cloud.network.ports, "id"),
    "security_groups": (lambda cloud: cloud.network.security_groups, "id"),
}


def union(clouds, lister, key):
    """Of equals first the site that is named first, then the lesser id."""
    rows = [(site, row.id, getattr(row, key)) for site in SITES
            for row in lister(clouds[site])()]
    rows.sort(key=lambda row: row[:2])
    rows.sort(key=lambda row: row[2], reverse=key == "created_at")
    return [row[1] for row in rows]


def pages(clouds):
    return {kind: {"walked": [row.id for row in
                              lister(clouds["global"])(limit=2)],
                   "union": union(clouds, lister, key)}
            for kind, (lister, key) in KINDS.items()}


def endpoints(clouds):
    return {region: [service.get_endpoint_data().url for service in (
        cloud.compute, cloud.network, cloud.image, cloud.block_storage)]
            for region, cloud in clouds.items()}


def main():
    clouds = {region: openstack.connect(region_name=region)
              for region in [*SITES, "global"]}
    question = {"pages": pages, "endpoints": endpoints}[sys.argv[1]]
    json.dump(question(clouds), sys.stdout)


main()
