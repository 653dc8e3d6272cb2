"""Reports: run folders become pages for people.

    build          run folders → one self-contained HTML page
    map_page       a 2-D map → one interactive HTML page

A command is described by one file in `sections/` and one template of the same name in `templates/sections/`;
a command without them is shown by its answer, tables and figures.
"""

from probekit.reports.maps import map_page
from probekit.reports.page import build

__all__ = ["build", "map_page"]
