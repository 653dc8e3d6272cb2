"""Every error that probekit raises on purpose.

Each message is one line that says what went wrong, with which input, and what to do about it.

    ProbekitError                 exit code 2
    ├── UsageError                a flag or a request that cannot be carried out
    │   └── UnknownNameError      a model, probe, metric, layout, generator … that does not exist
    ├── ManifestError             a manifest that breaks its contract: file, row, column, remedy
    ├── ImageError                one image that cannot be read: recorded, never replaced
    ├── ModelError                a model that cannot be built or that gave unusable features
    │   ├── WeightsError          weights that are missing, unreachable or of another model
    │   └── FeatureOverflowError  a feature that does not fit the store's number format
    ├── StoreError                a store that cannot be read or written
    │   ├── StoreCorruptError     bytes that are not those that were written
    │   └── MissingFeaturesError  samples that were never extracted
    ├── BlacklistError            a blacklist that cannot be read, changed or asked
    ├── ProbeError                a probe that cannot be trained or applied
    ├── RemoteError               a bucket that cannot be reached
    └── RunError                  a run folder that cannot be read or written
"""


class ProbekitError(Exception):
    """Base of all errors that end a command with one clear line and exit code 2."""


class UsageError(ProbekitError):
    """A flag or a request that cannot be carried out."""


class UnknownNameError(UsageError):
    """A name that is not registered or does not occur in the data."""


class ManifestError(ProbekitError):
    """A manifest that breaks its contract."""


class ImageError(ProbekitError):
    """One image that cannot be read."""


class ModelError(ProbekitError):
    """A model that cannot be built or that gave unusable features."""


class WeightsError(ModelError):
    """Weights that are missing, unreachable or belong to another model."""


class FeatureOverflowError(ModelError):
    """A feature that does not fit the store's number format."""


class StoreError(ProbekitError):
    """A store that cannot be read or written."""


class StoreCorruptError(StoreError):
    """Bytes in a store that are not those that were written."""


class MissingFeaturesError(StoreError):
    """Samples that a question needs and that were never extracted."""


class BlacklistError(ProbekitError):
    """A blacklist that cannot be read, changed or asked."""


class ProbeError(ProbekitError):
    """A probe that cannot be trained or applied."""


class RemoteError(ProbekitError):
    """A bucket that cannot be reached."""


class RunError(ProbekitError):
    """A run folder that cannot be read or written."""
