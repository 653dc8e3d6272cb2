"""Tables to paste: those of runs as Markdown for GitHub and as LaTeX with booktabs.

    tables_of   a run → its tables, as a paper has them
    markdown    a table → Markdown
    latex       a table → LaTeX
    write       run folders → one file a table of both kinds, and all tables in one page of each

table.py      what a table is, and tables from frames, records and matrices
markdown.py   Markdown
latex.py      LaTeX
runs.py       which tables a run has: a file a command below, the general form for the rest
files.py      the files
probe.py retrieve.py map.py compare.py     tables of a command
"""

from probekit.reports.tables.files import write
from probekit.reports.tables.latex import latex
from probekit.reports.tables.markdown import markdown
from probekit.reports.tables.runs import tables_of
from probekit.reports.tables.table import Cell, Table, of_frame, of_matrix, of_records

__all__ = ["Cell", "Table", "latex", "markdown", "of_frame", "of_matrix", "of_records", "tables_of", "write"]
