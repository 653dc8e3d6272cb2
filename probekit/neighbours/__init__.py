"""Nearest neighbours by cosine similarity, with FAISS.

Exact, whatever groups exclude: `search`, `Gallery`, `search_blocks`, `similarity_blocks`; all pairs above a
similarity: `pairs_above`, `across`; near pairs of binary codes: `hamming_pairs`; approximate, for galleries that are
large or searched often: `Index`, and `IndexedRows` where groups exclude.
"""

from probekit.neighbours.binary import hamming_pairs
from probekit.neighbours.engines import Index, choose_engine
from probekit.neighbours.exact import Gallery, Neighbours, merged, search, search_blocks, similarity_blocks
from probekit.neighbours.indexed import Indexed, IndexedRows, RowsOnDisk, in_order, numbered_blocks, tried
from probekit.neighbours.ranges import across, pairs_above
from probekit.neighbours.recall import recall_at
from probekit.neighbours.structures import ENGINES

__all__ = [
    "ENGINES",
    "Gallery",
    "Index",
    "Indexed",
    "IndexedRows",
    "Neighbours",
    "RowsOnDisk",
    "across",
    "choose_engine",
    "hamming_pairs",
    "in_order",
    "merged",
    "numbered_blocks",
    "pairs_above",
    "recall_at",
    "search",
    "search_blocks",
    "similarity_blocks",
    "tried",
]
