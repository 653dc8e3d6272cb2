"""The feature store: one Zarr v3 group per model, weights, view and precision.

    cache/srm-native512-float32-3fa94c01b2de/
        zarr.json  key/  crop/  status/  blocks/      the arrays; `zarr.open_group` reads them without probekit
        journal/parts/                                committed rows that are not folded into the arrays yet
        journal/claims/                               what running processes work on
        journal/reasons/                              why images could not be read
        journal/writer-*.json                         versions of libraries that were admitted beside the creator's
        journal/seal.json                             how many rows there must be, and the SHA-256 of the metadata

Rows are committed as parts and folded into the arrays' shards when a run ends. Readers see both. Rows are removed by
building a new store beside the old one and putting it in its place (`prune.py`, `swap.py`).
"""

from probekit.store.folder import find_stores, list_stores, remove_store
from probekit.store.packing import Rows
from probekit.store.parts import ABSENT, DONE, FAILED
from probekit.store.prune import Pruned, Surplus
from probekit.store.settings import StoreSettings
from probekit.store.store import Store

__all__ = [
    "ABSENT",
    "DONE",
    "FAILED",
    "Pruned",
    "Rows",
    "Store",
    "StoreSettings",
    "Surplus",
    "find_stores",
    "list_stores",
    "remove_store",
]
