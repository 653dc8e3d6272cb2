"""Independent computations side by side: threads of this process, or workers on the nodes of a Ray cluster.

threads.py  small computations, each on one core
cluster.py  units of work given to workers of a Ray cluster, whatever becomes of its nodes
"""

from probekit.parallel.threads import AT_ONCE, import_now, processors, side_by_side, workers_for

__all__ = ["AT_ONCE", "import_now", "processors", "side_by_side", "workers_for"]
