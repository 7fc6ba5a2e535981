"""What the daemons take while nobody asks."""

import time

import rig

MIB = 1024
AGENT_KIB = 16 * MIB
QUIET = 12  # Seconds: what a burst took goes back every 10.


def test_agents_idle_memory(figure):
    """Resident, of the release build, after having served every kind."""
    for kind in ["servers", "networks", "images", "volumes", "projects",
                 "flavors", "ports", "servers?limit=1000"]:
        assert rig.api(kind).answered() == rig.SITES
    time.sleep(QUIET)
    sizes = {site: int(rig.agent(site).status("VmRSS"))
             for site in rig.SITES}
    own = {site: int(rig.agent(site).status("RssAnon"))
           for site in rig.SITES}
    figure(", ".join("%s %.1f MiB (%.1f its own)" % (
        site, sizes[site] / MIB, own[site] / MIB) for site in rig.SITES))
    figure("hub %.1f MiB" % (int(rig.hub().status("VmRSS")) / MIB))
    assert max(sizes.values()) <= AGENT_KIB


def test_agents_idle_cpu(figure):
    """Nothing spins: of one core, less than a hundredth."""
    def ticks(daemon):
        fields = rig.read("/proc/%d/stat" % daemon.pid()).rpartition(
            ") ")[2].split()
        return int(fields[11]) + int(fields[12])

    daemons = [rig.hub()] + [rig.agent(site) for site in rig.SITES]
    before = [ticks(daemon) for daemon in daemons]
    time.sleep(10)
    used = [after - start for start, after in zip(
        before, (ticks(daemon) for daemon in daemons))]
    figure("in 10 s: " + ", ".join("%s %d ms" % (
        daemon.name, 10 * n) for daemon, n in zip(daemons, used)))
    assert max(used) <= 10  # Hundredths of a second.


def test_nothing_grows(figure):
    """500 lists: neither memory nor descriptors."""
    for _ in range(50):
        rig.api("projects")
    before = rig.metrics()
    sizes = [int(rig.agent(site).status("VmRSS")) for site in rig.SITES]
    for _ in range(2000 if rig.FULL else 400):
        assert rig.api("projects").answered() == rig.SITES
    after = rig.metrics()
    grown = [int(rig.agent(site).status("VmRSS")) - size
             for site, size in zip(rig.SITES, sizes)]
    hub = (after["process_resident_memory_bytes"] -
           before["process_resident_memory_bytes"]) / 1024
    figure("KiB grown: hub %d, agents %s" % (hub, grown))
    assert hub <= MIB and max(grown) <= MIB
    assert after["process_open_fds"] <= before["process_open_fds"] + 2
