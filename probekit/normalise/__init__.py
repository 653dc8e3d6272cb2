"""Normalised copies: pictures of one size, one format, one quality and no metadata, on which to ask again.

What told the classes of a data set apart by their files is gone from the copy; how well they are still told apart is
the question. Framing, backgrounds and earlier compressions stay: they are in the pixels.

settings.py   what the copies are like
pictures.py   pixels become the bytes of a copy
names.py      where each copy lies
ledger.py     what each finished copy was made of
copying.py    all of a manifest, resumed where it stopped
"""

from probekit.normalise.copying import Copied, normalise
from probekit.normalise.settings import BOXES, FORMATS, SUBSAMPLINGS, NormaliseSettings

__all__ = ["BOXES", "FORMATS", "SUBSAMPLINGS", "Copied", "NormaliseSettings", "normalise"]
