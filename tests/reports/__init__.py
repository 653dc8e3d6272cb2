"""Tests of the pages: as text, and in a browser."""
