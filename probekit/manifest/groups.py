"""Groups that are one because an image is in both."""

import pandas as pd


def linked_groups(groups: "pd.Series[str]", *shared: pd.Series) -> "pd.Series[str]":
    """A name for each set of groups that rows link, the first in the alphabet; a group without a link keeps its own.

    Args:
        groups: of every row.
        shared: of every row a key; rows of equal keys are one image, or copies of one.
    """
    found = groups.astype(str)
    while True:  # each step carries the first name over one more link
        joined = found
        for key in shared:
            joined = joined.groupby(key).transform("min").groupby(groups).transform("min")
        if joined.equals(found):
            return found
        found = joined
