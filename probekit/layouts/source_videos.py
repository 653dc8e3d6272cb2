"""Which videos show the same recording: by how FaceForensics++, Celeb-DF and DFD name them.

A fake video is named after two recordings, the target, whose scene it shows, and the source, whose face or expression
it takes on. Where the pairs keep apart, as in FaceForensics++, whatever is linked by pairs is one group. Where they
link everybody with everybody, as in Celeb-DF and DFD, one group would hold all: there, videos with the target's
recording are one.
"""

import re
from collections.abc import Iterable, Mapping

FF = re.compile(r"(?P<target>\d{3})(?:_(?P<source>\d{3}))?")
"""FaceForensics++: `000`, `000_003`."""
_CDF = re.compile(r"(?P<target>id\d+)(?:_id\d+)?(?P<number>_\d{4})")
"""Celeb-DF: `id0_0000`, `id0_id1_0000`."""
_DFD = re.compile(r"(?P<target>\d{2})(?:_\d{2})?(?P<scene>__.+?)(?:__[A-Z0-9]{8})?")
"""DFD: `01__walking`, `01_02__walking__ABCDEFGH`."""


def source_groups(videos: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """For each (domain, name of a video) its group: the domain and a recording, as in `ff/000`.

    Pairs are linked within a domain; a linked group is called after its first recording in the order of names.
    """
    distinct = sorted(set(videos))
    linked = _link_pairs(distinct)
    groups = {}
    for domain, name in distinct:
        if match := FF.fullmatch(name):
            recording = linked[domain, match["target"]]
        elif match := _CDF.fullmatch(name) or _DFD.fullmatch(name):
            recording = "".join(match.groups())
        else:
            recording = name
        groups[domain, name] = f"{domain}/{recording}"
    return groups


def split_videos(videos: Iterable[str], split_of: Mapping[str, str]) -> dict[str, str]:
    """For each video of FaceForensics++ the split of both its recordings; empty where they differ or have none."""
    found = {}
    for name in set(videos):
        match = FF.fullmatch(name)
        splits = {split_of.get(recording, "") for recording in filter(None, match.groups())} if match else {""}
        found[name] = splits.pop() if len(splits) == 1 else ""
    return found


def _link_pairs(videos: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """For each (domain, recording) the first recording that pairs link it with, by union-find."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def find(node: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for domain, name in videos:
        if match := FF.fullmatch(name):
            one, other = sorted((find((domain, match["target"])), find((domain, match["source"] or match["target"]))))
            parent[other] = one
    return {node: find(node)[1] for node in list(parent)}
