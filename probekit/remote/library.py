"""obstore, imported here alone; without it, importing this ends in the line that names the extra."""

from probekit.errors import UsageError

try:
    import obstore
    from obstore import exceptions, store
except ImportError as error:
    raise UsageError("s3://, gs:// and az:// are reached by obstore: pip install 'probekit[remote]'.") from error

__all__ = ["exceptions", "obstore", "store"]
