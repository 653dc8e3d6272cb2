"""Features for a question.

sets.py     samples with their raw features, and which stores are meant
matched.py  the rows of a manifest that have the features of a reference
join.py     the rows of a manifest joined, by identity, with the rows of a store
"""

from probekit.features.join import Join, load_features
from probekit.features.sets import BLOCK_BYTES, FeatureSet, FeatureStream, Selector, Source, spell_need

__all__ = ["BLOCK_BYTES", "FeatureSet", "FeatureStream", "Join", "Selector", "Source", "load_features", "spell_need"]
