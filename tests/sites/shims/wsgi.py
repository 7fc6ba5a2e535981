"""What uwsgi loads: the WSGI application of the service that SITE_SERVICE names."""
import importlib
import os

# service: module, function that makes the application, shims that come first
APPLICATIONS = {
    'keystone': ('keystone.server.wsgi', 'initialize_public_application', ()),
    'placement': ('placement.wsgi', 'init_application', ()),
    'glance': ('glance.common.wsgi_app', 'init_app', ()),
    'nova': ('nova.api.openstack.compute.wsgi', 'init_application', ()),
    'cinder': ('cinder.wsgi.wsgi', 'initialize_application', ('cinder_context',)),
}

module, function, shims = APPLICATIONS[os.environ['SITE_SERVICE']]
for shim in shims:
    importlib.import_module(shim)
application = getattr(importlib.import_module(module), function)()
