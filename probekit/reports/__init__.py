"""Reports: run folders become pages for people."""
