"""Volumes with notifications switched on.

oslo.messaging 14.0.3-0+deb12u1 cleans a request's context through from_dict(), which loses read_deleted; cinder 21.3.1
then raises ValueError, so that every volume ends in status `error`.
"""
from cinder import context

_from_dict = context.RequestContext.from_dict.__func__


def from_dict(cls, values):
    return _from_dict(cls, dict(values, read_deleted=values.get('read_deleted') or 'no'))


context.RequestContext.from_dict = classmethod(from_dict)
