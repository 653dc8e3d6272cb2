"""Metrics of scores and of rankings, one file each, found by scanning this folder."""
