"""Buckets: images, manifests and stores by URL.

    urls.py      which URLs are read
    library.py   obstore, or the line that names the extra
    settings.py  what the environment says of buckets, looked at
    buckets.py   a bucket, opened once; its errors in one line
    objects.py   bytes of images, and whether they have changed
    paths.py     objects as files: what a store needs of them

    s3://BUCKET/KEY    gs://BUCKET/KEY    az://CONTAINER/KEY    memory://NAME/KEY (of this process alone, for tests)

The key is taken as it stands: nothing in it is escaped or is a query. Credentials, endpoints and regions come from the
environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`), never from a URL, so that none ends in a manifest or a record. obstore
reads, writes and repeats what failed; it is imported when the first object is asked for.
"""

from probekit.remote.objects import ObjectStatus, read, statuses
from probekit.remote.paths import BucketPath
from probekit.remote.urls import TAKEN, full_path, is_odd, is_url, local_path, refusal, without_secrets

__all__ = [
    "TAKEN",
    "BucketPath",
    "ObjectStatus",
    "full_path",
    "is_odd",
    "is_url",
    "local_path",
    "read",
    "refusal",
    "statuses",
    "without_secrets",
]
