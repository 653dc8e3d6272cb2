"""Blacklists: kept galleries of registered generators; which of them made a new image, or none?

    blacklists/NAME/
        blacklist.json      what it is now: features, segments, thresholds; replaced in one step by every change
        segments/           the examples: vectors, ids and where they came from, in files that are never changed
        index/              what makes searching quicker; made again when it is missing
        lock                of the process that changes it

Registering and removing train nothing and renumber nothing: an example's id is the SHA-256 of its image. Readers see
the version that they opened; a change that is killed leaves the one before it.

    folder.py        which blacklists there are
    needs.py         which features it compares
    images.py        images with these features, from files or from a manifest
    record.py        blacklist.json
    segments.py      the files of examples
    opened.py        a blacklist as it is read
    changes.py       create, register, unregister, keep a threshold: one process at a time
    search.py        the nearest examples, exactly or among what an index proposes
    index.py         the index that is kept
    matching.py      generator or `unknown`
    truth.py         how right the answers are, where a manifest knows
    calibration.py   the threshold for a wanted FPIR
    portable.py      one file to hand on
"""

from probekit.blacklist.calibration import Calibrated, CalibrationSettings, calibrate
from probekit.blacklist.changes import (
    UNKNOWN,
    Registered,
    Unregistered,
    create,
    keep_threshold,
    register,
    require_generator,
    require_name,
    unregister,
)
from probekit.blacklist.folder import find_blacklist, list_blacklists
from probekit.blacklist.images import Computing, ImageSet, images_of_files, images_of_manifest
from probekit.blacklist.index import Searcher, open_searcher
from probekit.blacklist.matching import Matches, MatchSettings, match, ready, spell_change
from probekit.blacklist.needs import find_blocks, other_views
from probekit.blacklist.opened import SHORT, Blacklist
from probekit.blacklist.portable import export_file, import_file
from probekit.blacklist.record import FILE, Calibration, Pool, Record, require_examples
from probekit.blacklist.truth import Truth

__all__ = [
    "FILE",
    "SHORT",
    "UNKNOWN",
    "Blacklist",
    "Calibrated",
    "Calibration",
    "CalibrationSettings",
    "Computing",
    "ImageSet",
    "MatchSettings",
    "Matches",
    "Pool",
    "Record",
    "Registered",
    "Searcher",
    "Truth",
    "Unregistered",
    "calibrate",
    "create",
    "export_file",
    "find_blacklist",
    "find_blocks",
    "images_of_files",
    "images_of_manifest",
    "import_file",
    "keep_threshold",
    "list_blacklists",
    "match",
    "open_searcher",
    "other_views",
    "ready",
    "register",
    "require_examples",
    "require_generator",
    "require_name",
    "spell_change",
    "unregister",
]
