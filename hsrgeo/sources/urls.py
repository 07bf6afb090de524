"""URLs that can be read: which kinds there are, their two parts, and what of them a message may show."""

from __future__ import annotations

import re
from urllib.parse import unquote

from hsrgeo.errors import OptionsError

BUCKETS = ("s3://", "gs://", "az://", "abfs://", "abfss://")
WEB = ("http://", "https://")
MACHINES = ("sftp://", "ssh://")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/]*)/?(.*)", re.DOTALL)
_LOST_SLASH = re.compile(r"(s3|gs|az|abfss?|https?|sftp|ssh):/[^/]", re.IGNORECASE)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^@:\[\]]+)(:\d+)?")
# ^ and port: in what is anything else there may be a password
_UNREACHABLE = re.compile(r"//|/\.\.?(/|$)|[\0-\x1f\x7f]")
# ^ object_store, which reads and writes there, refuses such keys in words of its own
_SECRETS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+:/+)(?:[^/]*(?=@)|[^/]*:(?!\d*(?:/|$)).*)|(?<=\?).+", re.DOTALL)


def is_url(text: str) -> bool:
    """Tell whether a text is a URL, of whatever kind."""
    return bool(_URL.fullmatch(text))


def has_lost_slash(text: str) -> bool:
    """Tell whether a text was a URL until it became a path, which keeps one slash of ``://``."""
    return bool(_LOST_SLASH.match(text))


def root_and_key(url: str) -> tuple[str, str]:
    """Return the scheme with the bucket or host of a URL, and the path below it.

    Raises:
        OptionsError: It is no URL of a kind that is known, contains a password or a question mark, or what no key in a
            bucket can contain.
    """
    match = _URL.fullmatch(url)
    scheme = f"{match[1].lower()}://" if match else ""
    if match is None or scheme not in (*BUCKETS, *WEB, *MACHINES):
        schemes = "s3://, gs://, az://, abfs://, http(s)://, sftp:// or ssh://"
        raise OptionsError(f"{without_secrets(url)}: expected {schemes}, or a path")
    host, path = match[2], match[3]
    if not host:
        raise OptionsError(f"{without_secrets(url)}: has no bucket or host after ://")
    if ":" in host.rpartition("@")[0] or (scheme in WEB and not _HOST.fullmatch(host)):
        raise OptionsError(f"{scheme}...@: a password in a URL would end in manifests; {_instead_of_password(scheme)}")
    if scheme in WEB and "?" in path:
        problem = "addresses with ? (signed ones too) cannot be read; download the file first"
        raise OptionsError(f"{without_secrets(url)}: {problem}")
    key = (unquote(path) if scheme in WEB else path).strip("/")
    if scheme in BUCKETS and _UNREACHABLE.search(f"{host}/{key}"):
        problem = "contains //, a part . or .., or a control character, which cannot be read or written in a bucket"
        raise OptionsError(f"{without_secrets(url)}: {problem}")
    return f"{scheme}{host}", key


def without_secrets(source: object) -> str:
    """Return a URL as a message may show it: without user, password and what follows a question mark."""
    return _SECRETS.sub(r"\1...", str(source))


def _instead_of_password(scheme: str) -> str:
    if scheme in MACHINES:
        return "use a key or an agent"
    return "download the file first" if scheme in WEB else "use the variables that its service knows"
