"""One file per command that the report describes in its own words; its template has the same name."""
