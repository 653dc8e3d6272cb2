"""Layouts: how a data set lies on disk, one file each, found by scanning this folder."""
