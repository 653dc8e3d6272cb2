"""Features that leave a cache for other programs, and other people's features that come into it.

table.py      which rows are exported, in batches that fit the memory
writers.py    npy, Parquet, safetensors and HDF5, written row by row
export.py     a store into a file, whole or not at all
readers.py    npy, npz, pt, Parquet and safetensors with the ids of their rows
imports.py    those rows into a store of their own, with declared provenance
"""

from probekit.exchange.export import FORMATS, Exported, ExportSettings, export
from probekit.exchange.imports import PREFIX, Declared, Imported, import_features

__all__ = [
    "FORMATS",
    "PREFIX",
    "Declared",
    "ExportSettings",
    "Exported",
    "Imported",
    "export",
    "import_features",
]
