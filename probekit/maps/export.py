"""The table that Embedding Atlas (Ren et al. 2025, arXiv:2505.06386) reads."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probekit.arrays import Features

if TYPE_CHECKING:
    import pyarrow as pa


def atlas_table(points: pd.DataFrame, components: Features, k: int = 10) -> "pa.Table":
    """The points with `x`, `y` and `neighbors`: `{"ids": [row, …], "distances": [d, …]}`, the nearest first.

    Ids are row numbers from 0 and distances Euclidean, among the components that the layout was made of, as
    `embedding-atlas FILE --x x --y y --neighbors neighbors` takes them.

    Args:
        points: a map's points, in the order of the components.
        components: what the layout was made of.
        k: neighbours of each point.
    """
    import pyarrow as pa
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    n, k = len(points), min(k, len(points) - 1)
    with threadpool_limits(limits=1):  # sums over threads come in any order
        distances, ids = NearestNeighbors(n_neighbors=k).fit(components).kneighbors()
    offsets = pa.array(np.arange(0, n * k + 1, max(k, 1), dtype=np.int32))
    neighbors = pa.StructArray.from_arrays(
        [
            pa.ListArray.from_arrays(offsets, pa.array(ids.ravel().astype(np.int64))),
            pa.ListArray.from_arrays(offsets, pa.array(distances.ravel())),
        ],
        names=["ids", "distances"],
    )
    table = pa.Table.from_pandas(points, preserve_index=False).replace_schema_metadata(None)
    return table.append_column("neighbors", neighbors)
