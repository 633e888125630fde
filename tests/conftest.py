"""Loads what has to be there before grpc (see weftmesh.runtime.tls), and gives every example of hypothesis its time.

How long an example takes depends on what else the machine does; pytest-timeout bounds the test as a whole.
"""

from hypothesis import settings

from weftmesh.runtime import tls as tls

settings.register_profile("weftmesh", parent=settings(), deadline=None)
settings.load_profile("weftmesh")
