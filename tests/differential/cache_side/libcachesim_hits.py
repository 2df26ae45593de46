"""Runs in the environment of libcachesim: which of some requests hit.

Arguments: a file of object ids as JSON, the size of the cache, then names of its
algorithms. Prints JSON: a list of 0 and 1 by name.
"""

import json
import sys
from pathlib import Path

import libcachesim

ids = json.loads(Path(sys.argv[1]).read_text())
found = {}
for name in sys.argv[3:]:
    cache = getattr(libcachesim, name)(cache_size=int(sys.argv[2]))
    request = libcachesim.Request()
    request.obj_size = 1
    hits = []
    for at, item in enumerate(ids):
        request.clock_time = at
        request.obj_id = item
        hits.append(int(cache.get(request)))
    found[name] = hits
json.dump(found, sys.stdout)
