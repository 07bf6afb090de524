"""Buckets, through obstore: S3 and what speaks like it, Google Cloud, Azure.

Endpoints, keys and anonymous access come from the usual variables: ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_NO_SIGN_REQUEST``, ``GOOGLE_APPLICATION_CREDENTIALS``,
``AZURE_STORAGE_ACCOUNT_NAME`` and so on; for S3 also from boto3's profiles, where that is installed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from hsrgeo.errors import needs
from hsrgeo.sources.service import WHOLE, Listed

with needs("obstore, for s3://, gs:// and az://", "remote"):
    import obstore
    from obstore import exceptions
    from obstore.store import from_url

Result = TypeVar("Result")

_CLIENT: Any = {"allow_http": True, "connect_timeout": "10s", "timeout": "60s"}
_RETRIES: Any = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=10), "base": 2},
}
# ^ for answers of 5xx and lost connections; a body that breaks off is tried again here
_TRIES = 3
_PAUSE_S = 0.5
_CHUNK = 1 << 16  # what has come of a chunk when a connection breaks off is lost, and asked for again
_PAGE = 1000  # names a request, the most that S3 gives
_MARK = "hsrgeorun"  # metadata of an object; letters only, for Azure allows no hyphen and some proxies no underscore
_YES = ("1", "true", "yes", "on")


class Bucket:
    """A bucket; a `WritableService`.

    Args:
        root: ``s3://bucket`` and so on.

    Raises:
        OSError: Its settings are wrong.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._store = _store(root)

    def stat(self, key: str) -> Listed:
        """See `Service`."""
        return _listed(self._tried(lambda: obstore.head(self._store, key)))

    def listed(self, prefix: str, *, deep: bool) -> Iterator[Listed]:
        """See `Service`."""
        if not deep:
            found = self._tried(lambda: obstore.list_with_delimiter(self._store, prefix or None))["objects"]
            yield from sorted(map(_listed, found), key=lambda one: one.key)
            return
        after: str | None = None
        failed = 0
        while True:
            try:
                with _as_os_error():
                    for page in obstore.list(self._store, prefix or None, offset=after, chunk_size=_PAGE):
                        yield from map(_listed, page)
                        after, failed = page[-1]["path"], 0
                break
            except OSError as error:  # a listing that failed says it is at its end when it is asked again: begin anew
                failed += 1
                if failed == _TRIES or error.errno != errno.EIO:
                    raise
                time.sleep(_PAUSE_S)

    def read(self, key: str, size: int) -> bytes:
        """See `Service`."""
        whole = size >= WHOLE

        def read() -> bytes:
            options: Any = None if whole else {"range": (0, size)}
            return bytes(obstore.get(self._store, key, options=options).bytes())

        try:
            return self._tried(read)
        except OSError as error:
            if "416" in str(error) and self.stat(key).size == 0:  # of nothing there is no first byte to ask for
                return b""
            raise

    def stream(self, key: str, start: int, version: str) -> Iterator[bytes]:
        """See `Service`."""
        options: Any = {"if_match": version} if version else {}
        if start:
            options["range"] = {"offset": start}
        with _as_os_error():
            yield from map(bytes, obstore.get(self._store, key, options=options).stream(min_chunk_size=_CHUNK))

    def write(self, key: str, data: bytes | Path, *, new: bool, over: str, mark: str) -> None:
        """See `WritableService`."""
        mode: Any = "create" if new else self._condition(key, over) if over else "overwrite"
        attributes = {_MARK: mark} if mark else None
        self._tried(lambda: obstore.put(self._store, key, data, mode=mode, attributes=attributes))

    def _condition(self, key: str, over: str) -> dict[str, str]:
        """Return the version that must be there, as the service wants it: Google's condition is not the ETag."""
        if not self._root.startswith("gs://"):
            return {"e_tag": over}
        try:
            record: Any = self._tried(lambda: obstore.head(self._store, key))
        except FileNotFoundError:
            record = {}
        if _version(record) != over:
            raise OSError(errno.ESTALE, "it was changed or removed meanwhile")
        return {"version": record["version"]}

    def mark(self, key: str) -> str:
        """See `WritableService`."""
        options: Any = {"head": True}
        return str(self._tried(lambda: obstore.get(self._store, key, options=options)).attributes.get(_MARK, ""))

    def remove(self, key: str) -> None:
        """See `WritableService`."""
        try:
            self._tried(lambda: obstore.delete(self._store, key))
        except FileNotFoundError:
            return

    def remove_all(self, keys: Sequence[str]) -> None:
        """See `WritableService`."""
        for start in range(0, len(keys), _PAGE):
            some = list(keys[start : start + _PAGE])
            try:
                self._tried(lambda some=some: obstore.delete(self._store, some))  # type: ignore[misc]
            except FileNotFoundError:  # which one is not said, nor whether those after it are gone
                for key in some:
                    self.remove(key)

    def copy(self, key: str, to: str) -> None:
        """See `WritableService`."""
        self._tried(lambda: obstore.copy(self._store, key, to))

    def move(self, key: str, to: str) -> None:
        """See `WritableService`."""
        self.copy(key, to)
        self.remove(key)

    def folder(self, key: str) -> Any:  # noqa: ANN401 - obstore's stores have no common public class
        """Return obstore's store of what is below a folder, such as for `zarr.storage.ObjectStore`."""
        return _store(f"{self._root}/{key}")

    def _tried(self, request: Callable[[], Result]) -> Result:
        for left in reversed(range(_TRIES)):
            try:
                with _as_os_error():
                    return request()
            except OSError as error:
                if not left or error.errno != errno.EIO:
                    raise
                time.sleep(_PAUSE_S)
        raise AssertionError


def _store(url: str) -> Any:  # noqa: ANN401 - see `Bucket.folder`
    try:
        return from_url(url, client_options=_CLIENT, retry_config=_RETRIES, **_credentials(url))
    except (exceptions.BaseError, ValueError) as error:
        raise OSError(errno.EINVAL, f"cannot be used: {_in_short(error)}") from error


async def tried(request: Callable[[], Awaitable[Result]]) -> Result:
    """Return what a request of obstore's own store answers; it is tried again as those of `Bucket` are.

    Raises:
        OSError: It fails.
    """
    for left in reversed(range(_TRIES)):
        try:
            with _as_os_error():
                return await request()
        except OSError as error:
            if not left or error.errno != errno.EIO:
                raise
            await asyncio.sleep(_PAUSE_S)
    raise AssertionError


class _as_os_error:  # noqa: N801 - a context manager, cheaper than contextlib's; used for every request
    def __enter__(self) -> None: ...

    def __exit__(self, _error_type: object, error: BaseException | None, _trace: object) -> None:
        if error is None or (isinstance(error, OSError) and error.errno is not None):
            return
        if any(code in str(error) for code in _NO_BUCKET):
            raise FileNotFoundError(errno.ENOENT, "there is no such bucket") from error
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(errno.ENOENT, "no such file") from error
        for error_class, number in _NUMBERS.items():
            if isinstance(error, error_class):
                raise OSError(number, _in_short(error)) from error
        if isinstance(error, (exceptions.BaseError, OSError, ValueError)):
            raise OSError(errno.EINVAL if isinstance(error, ValueError) else errno.EIO, _in_short(error)) from error


_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")  # of S3 and Google, and of Azure
_NUMBERS = {
    exceptions.AlreadyExistsError: errno.EEXIST,
    exceptions.PermissionDeniedError: errno.EACCES,
    exceptions.UnauthenticatedError: errno.EACCES,
    exceptions.PreconditionError: errno.ESTALE,
    exceptions.NotSupportedError: errno.ENOTSUP,
    exceptions.InvalidPathError: errno.EINVAL,
}


def _listed(record: Any) -> Listed:  # noqa: ANN401 - obstore's dictionary
    return Listed(record["path"], record["size"], _version(record), record["last_modified"].timestamp())


def _version(record: Any) -> str:  # noqa: ANN401 - see `_listed`
    """Return the ETag, in quotation marks, which Azure leaves out where it lists; empty where there is none."""
    tag = record.get("e_tag") or ""
    return f'"{tag}"' if tag and '"' not in tag else tag


def _credentials(root: str) -> dict[str, Any]:
    """Return settings that obstore does not take from the environment itself."""
    if not root.startswith("s3://"):
        return {}
    if os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in _YES:  # GDAL's word; obstore knows AWS_SKIP_SIGNATURE
        return {"skip_signature": True}
    variables = ("AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "AWS_WEB_IDENTITY_TOKEN_FILE")
    if any(name in os.environ for name in variables):
        return {}
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415

        return {"credential_provider": Boto3CredentialProvider()}
    except (ImportError, ValueError):  # no boto3, or it knows no keys either: obstore asks the machine
        return {}


def _in_short(error: BaseException) -> str:
    """Return the one line of obstore's report that tells what is wrong."""
    text = str(error).partition("\n\nDebug source:")[0]
    said = re.search(r"<Message>\s*([^\n<]*)", text)  # Azure adds lines with the number and the time of the request
    line = " ".join(text.partition(": <?xml")[0].partition("<?xml")[0].split())
    line = _NOISE.sub("", line)
    if any(sign in text for sign in _NO_KEYS):
        line = f"no keys were found ({_VARIABLES} are not set, for example): {line}"
    return f"{line} ({said[1]})" if said else line


_NO_KEYS = ("//169.254.169.254/", "Account must be specified")  # asked last: the machine, where it is one of the cloud
_VARIABLES = "AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS or AZURE_STORAGE_ACCOUNT_NAME"
_NOISE = re.compile(r"^Generic \w+ error: |Error performing | in [\d.]+(?:ns|µs|ms|s)\b|, max_retries: .*?(?= - )")
