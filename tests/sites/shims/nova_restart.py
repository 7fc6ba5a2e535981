"""Servers that outlive nova-compute.

A real hypervisor keeps its guests while nova-compute is down; the fake one is a dict in nova-compute's memory, so after
a restart stop, attach and snapshot would fail on every server made before. nova-compute walks through its servers when
it starts: put each one back, as the database last saw it, before anything else looks at it.
"""
from nova.compute import manager
from nova.compute import power_state
from nova.virt import fake

_init_instance = manager.ComputeManager._init_instance


def restore(driver, instance):
    state = power_state.SHUTDOWN if instance.power_state == power_state.SHUTDOWN else power_state.RUNNING
    driver.instances[instance.uuid] = fake.FakeInstance(instance.name, state, instance.uuid)
    flavor = instance.flavor
    driver.resources.claim(vcpus=flavor.vcpus, mem=flavor.memory_mb, disk=flavor.root_gb)
    for vif in instance.get_network_info():
        driver._interfaces[vif['id']] = vif


def init_instance(self, context, instance):
    if instance.host == self.host and instance.uuid not in self.driver.instances:
        restore(self.driver, instance)
    return _init_instance(self, context, instance)


manager.ComputeManager._init_instance = init_instance
