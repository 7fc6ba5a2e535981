"""launch.py PROGRAM ARGUMENT...: runs an OpenStack daemon or tool straight from Debian's python3-* libraries.

The daemon packages would bring debconf questions, init scripts and libvirt; all that their programs in /usr/bin do is
call main() of a module that the libraries hold already. Some start with a shim (see each shim for its reason).
"""
import importlib
import sys

# program: the module that holds main(), the shims that are imported after it
PROGRAMS = {
    'nova-manage': ('nova.cmd.manage', ()),
    'nova-conductor': ('nova.cmd.conductor', ()),
    'nova-scheduler': ('nova.cmd.scheduler', ()),
    'nova-compute': ('nova.cmd.compute', ('nova_snapshot', 'nova_restart')),
    'neutron-db-manage': ('neutron.db.migration.cli', ()),
    'neutron-server': ('neutron.cmd.eventlet.server', ()),
    'glance-manage': ('glance.cmd.manage', ()),
    'cinder-manage': ('cinder.cmd.manage', ()),
    'cinder-scheduler': ('cinder.cmd.scheduler', ('cinder_context',)),
    'cinder-volume': ('cinder.cmd.volume', ('cinder_context', 'cinder_images')),
}

program = sys.argv[1]
module, shims = PROGRAMS[program]
sys.argv[:2] = [program]    # oslo.config finds its project by the program's name
if program in ('cinder-scheduler', 'cinder-volume'):
    import eventlet         # nova and neutron do this themselves
    eventlet.monkey_patch()
main = importlib.import_module(module).main
for shim in shims:
    importlib.import_module(shim)
sys.exit(main())
