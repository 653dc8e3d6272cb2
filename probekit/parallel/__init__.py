"""Independent computations side by side: threads of this process, or workers on the nodes of a Ray cluster.

threads.py     small computations, each on one core
connecting.py  opening a Ray cluster
cluster.py     units of work given to its workers, whatever becomes of its nodes
ordered.py     their results in the order in which they were asked for
"""

from probekit.parallel.threads import AT_ONCE, import_now, limit_processors, processors, side_by_side, workers_for

__all__ = ["AT_ONCE", "import_now", "limit_processors", "processors", "side_by_side", "workers_for"]
