"""Parameters that are taken from the data, unless somebody sets them.

    <generators>                  all that have fakes
    <generators of DOMAIN>        those with fakes in a domain
    <generators of A and B>       those with fakes in both domains; <generators joined of A and B> with + between
    <generators not of DOMAIN>    all the others
    <shared generators>           those with fakes in two domains or more
    <shared generators joined>    the same with + between: one training set
    <domains>                     all that have fakes
    <part K of N>                 the K-th of N parts of the generators, dealt in the order of the hashes of their names

DOMAIN may be a parameter, `{source}`. A list that is empty stays empty: the plan says what is missing.
"""

import hashlib
import re
from collections.abc import Callable, Mapping

import pandas as pd

from probekit.errors import UsageError
from probekit.protocols import generators
from probekit.studies.protocol import filled

Rule = Callable[[pd.DataFrame, "re.Match[str]"], list[str]]


def derived(parameters: Mapping[str, str], table: pd.DataFrame) -> dict[str, str]:
    """The parameters with every `<…>` replaced by a comma list of names from the manifest.

    Raises:
        UsageError: a `<…>` that means nothing.
    """
    plain = {name: text for name, text in parameters.items() if not text.startswith("<")}
    return {
        name: text if name in plain else ",".join(_names(name, filled(text, plain, f"parameter {name}"), table))
        for name, text in parameters.items()
    }


def _names(parameter: str, text: str, table: pd.DataFrame) -> list[str]:
    for pattern, rule in RULES.items():
        if found := re.fullmatch(pattern, text):
            return rule(table, found)
    raise UsageError(f"parameter {parameter} is {text!r}, which means nothing. Known: {', '.join(RULES)}.")


def _of(table: pd.DataFrame, domain: str) -> list[str]:
    return generators(table[table["domain"] == domain])


def _shared(table: pd.DataFrame) -> list[str]:
    domains = table[table["label"] == 1].groupby("generator")["domain"].nunique()
    return sorted(domains.index[domains > 1])


def _part(table: pd.DataFrame, number: int, count: int) -> list[str]:
    if not 1 <= number <= count:
        raise UsageError(f"<part {number} of {count}>: there are parts 1 to {count}.")
    dealt = sorted(generators(table), key=lambda name: hashlib.sha256(name.encode()).digest())
    return sorted(dealt[number - 1 :: count])


RULES: dict[str, Rule] = {
    "<generators>": lambda table, _: generators(table),
    "<generators of (.+) and (.+)>": lambda table, found: sorted({*_of(table, found[1])} & {*_of(table, found[2])}),
    "<generators joined of (.+) and (.+)>": lambda table, found: [
        "+".join(sorted({*_of(table, found[1])} & {*_of(table, found[2])}))
    ],
    "<generators of (.+)>": lambda table, found: _of(table, found[1]),
    "<generators not of (.+)>": lambda table, found: sorted(set(generators(table)) - set(_of(table, found[1]))),
    "<shared generators>": lambda table, _: _shared(table),
    "<shared generators joined>": lambda table, _: ["+".join(_shared(table))],
    "<domains>": lambda table, _: sorted(table.loc[table["label"] == 1, "domain"].unique()),
    "<part ([0-9]+) of ([0-9]+)>": lambda table, found: _part(table, int(found[1]), int(found[2])),
}
"""Pattern → the names that it means, sorted."""
