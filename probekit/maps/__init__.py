"""Maps: features laid out on a plane, with figures that say how far to believe the picture.

    raw features → condition (each part on its own) → PCA to 50 dimensions → t-SNE, UMAP or PaCMAP, initialised by PCA

settings.py    what decides where a sample lies
sampling.py    a seeded part of many samples, every generator in proportion
preparing.py   condition and principal components, of new samples as of old ones
methods/       layouts, one a file
quality.py     trustworthiness, purity
embedding.py   the map of a set of features
placing.py     new samples on an existing map
outcomes.py    what probes said of each sample, to colour a map by
result.py      what comes out
export.py      the table that Embedding Atlas reads

Distances are Euclidean; under the condition `l2` their order is that of cosine similarity. Labels take no part in
the layout. Trustworthiness and purity compare the plane with the conditioned features before PCA. One thread computes
whatever is summed, so the same seed gives the same bytes.
"""

from probekit.maps.embedding import embed_map
from probekit.maps.export import atlas_table
from probekit.maps.outcomes import Accuracy, attribution_outcomes, binary_outcomes
from probekit.maps.placing import PlacedMap, place
from probekit.maps.result import MapResult
from probekit.maps.sampling import stratified
from probekit.maps.settings import MapSettings

__all__ = [
    "Accuracy",
    "MapResult",
    "MapSettings",
    "PlacedMap",
    "atlas_table",
    "attribution_outcomes",
    "binary_outcomes",
    "embed_map",
    "place",
    "stratified",
]
