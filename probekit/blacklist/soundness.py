"""Whether examples that come from elsewhere are such as this blacklist would have written itself."""

import numpy as np

from probekit.blacklist.changes import require_generator
from probekit.blacklist.record import Record
from probekit.blacklist.segments import COLUMNS, ROW_GROUP, OpenSegment

LENGTH_OFF = 1e-3  # by which a vector's length may differ from 1


def find_problem(opened: OpenSegment, record: Record) -> str:
    """What of the examples is not as an export writes it; empty for nothing.

    Raises:
        UsageError: a generator has a name that could not be registered.
        BlacklistError: the table cannot be read.
    """
    return _of_table(opened) or _of_generators(opened, record) or _of_arrays(opened)


def _of_table(opened: OpenSegment) -> str:
    schema, meta = opened.examples.schema_arrow, opened.examples.metadata
    sizes = [meta.row_group(number).num_rows for number in range(meta.num_row_groups)]
    if schema.names != list(COLUMNS) or any(str(kind) != "string" for kind in schema.types):
        return f"its table has the columns {', '.join(schema.names)}, expected {', '.join(COLUMNS)}, all of them words"
    if any(rows != ROW_GROUP for rows in sizes[:-1]):
        return "its table is not divided as an export divides it"
    empty = any(column.null_count for column in opened.read(np.arange(len(opened))).columns)
    return "its table has empty cells" if empty else ""


def _of_generators(opened: OpenSegment, record: Record) -> str:
    names, counts = np.unique(opened.generators.astype(str), return_counts=True)
    for name in names:
        require_generator(str(name))
    same = dict(zip(names.tolist(), counts.tolist(), strict=True)) == dict(record.generators)
    return "" if same else "its examples are not those that its record counts"


def _of_arrays(opened: OpenSegment) -> str:
    if len(np.unique(opened.keys, axis=0)) < len(opened):
        return "two of its examples have one id"
    for block in opened.blocks():
        if not np.isclose(np.linalg.norm(block, axis=1), 1, rtol=0, atol=LENGTH_OFF).all():
            return "its vectors are not of length 1"
    return ""
