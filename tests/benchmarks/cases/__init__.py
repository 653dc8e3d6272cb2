"""The benchmarks, one file for each or for a small group that shares its material."""
