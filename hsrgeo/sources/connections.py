"""Connections to buckets, web servers and other machines: one for each process."""

from __future__ import annotations

import errno
import threading
from functools import lru_cache
from typing import cast

from hsrgeo.sources.service import Service, WritableService
from hsrgeo.sources.urls import BUCKETS, MACHINES, WEB


def service(root: str) -> Service:
    """Connect; once for each process, so that connections are kept open."""
    with _CONNECTING:  # else every thread would begin a connection of its own
        return _connected(root)


_CONNECTING = threading.Lock()


@lru_cache(maxsize=16)
def _connected(root: str) -> Service:
    if root.startswith(MACHINES):
        from hsrgeo.sources.sftp import Sftp  # noqa: PLC0415 - of an extra

        return Sftp(root)
    if root.startswith(WEB):
        from hsrgeo.sources.web import Web  # noqa: PLC0415 - http and ssl, which take a moment

        return Web(root)
    from hsrgeo.sources.buckets import Bucket  # noqa: PLC0415 - of an extra

    return Bucket(root)


def writable_service(root: str) -> WritableService:
    """Connect to a bucket, see `service`.

    Raises:
        OSError: It is no bucket.
    """
    if not root.startswith(BUCKETS):
        raise OSError(errno.ENOTSUP, "outputs go to a disk or a bucket (s3://, gs://, az://)")
    return cast("WritableService", service(root))
