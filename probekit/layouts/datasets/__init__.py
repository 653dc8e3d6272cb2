"""Published data sets, one file each; `trees.py` and `listed.py` hold what they have in common.

Where a data set's tree could not be confirmed from its authors' own code or page, `docs/datasets.md` says what is
assumed.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
