"""The key of KMA's API hub: where it is found, and how it stays out of everything that is shown or written.

A key is personal and stands in the address of every request, so exceptions, logs and pages of the service can repeat
it. It is no argument of a command either: those are in the list of processes and in the shell's history.
"""

from __future__ import annotations

import base64
import html
import importlib
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, unquote

from hsrgeo.errors import OptionsError, WriteError

VARIABLE = "KMA_APIHUB_KEY"
"""The environment variable that is looked at first."""
NAME = "kma-apihub-key"
"""Of the systemd credential, of the entry ``hsrgeo`` of a keyring, and of the file."""
PAGE = "https://apihub.kma.go.kr"
"""Where keys are given out."""
_MOST_BYTES = 4096
_PART = 8  # letters of a key that nothing may show
_HIDDEN = "(a text that repeats the key: not shown)"
_OTHERS_KEY = 80  # letters: a serviceKey of data.go.kr is longer than this


class Key:
    """A key that no `repr`, `str`, `format`, copy or pickle of it shows.

    Args:
        text: The key; blanks and line breaks are left out.
        origin: Where it was found, for messages.

    Raises:
        OptionsError: It is empty, or has letters that no key has.
    """

    __slots__ = ("__text", "origin")

    def __init__(self, text: str, origin: str = "the program") -> None:
        self.__text = "".join(text.split())
        self.origin = origin
        """Where it was found, for messages."""
        if not self.__text:
            raise OptionsError(f"the key of KMA's API hub from {origin} is empty")
        if not (self.__text.isascii() and self.__text.isprintable()):
            raise OptionsError(f"the key of KMA's API hub from {origin} contains invalid characters; copy it again")

    def __repr__(self) -> str:
        return "Key(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is never pickled")

    @property
    def is_of_data_portal(self) -> bool:
        """Whether it looks like a ``serviceKey`` of data.go.kr, which is another one."""
        return "%" in self.__text or self.__text.endswith("==") or len(self.__text) >= _OTHERS_KEY

    def parameter(self) -> str:
        """Return ``authKey=...`` for the address of a request: the only way that the key leaves this class."""
        return f"authKey={quote(self.__text, safe='')}"

    def hide(self, text: str) -> str:
        """Return a text as it is, or another in its place where it holds a part of the key.

        Args:
            text: Whatever came from the service, whole: a part of the key at a cut would not be seen.
        """
        seen = f"{text}\n{html.unescape(unquote(text))}".casefold()
        packed = text.translate(_PLAIN_BASE64)
        forms = [(self.__text.casefold(), seen), (self.__text[::-1].casefold(), seen)]
        forms += [(self.__text.encode().hex(), seen), *((form, packed) for form in _in_base64(self.__text.encode()))]
        return _HIDDEN if any(part in where for form, where in forms for part in _parts(form)) else text


_PLAIN_BASE64 = str.maketrans("-_", "+/", "\r\n")


def _parts(text: str) -> list[str]:
    return [text[at : at + _PART] for at in range(max(len(text) - _PART, 0) + 1)]


def _in_base64(data: bytes) -> list[str]:
    """Return what base64 makes of it inside any other text: at three offsets, without what its neighbours change."""
    forms = []
    for before, changed in enumerate((0, 2, 3)):  # letters at the front that hold bits of what is before
        packed = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        forms.append(packed[changed:-1])
    return [form for form in forms if form]


def find_key() -> Key:
    """Return the key, from the first place that has one; see `places`.

    Raises:
        OptionsError: None has, or one cannot be used.
    """
    if text := os.environ.get(VARIABLE):
        return Key(text, f"the variable {VARIABLE}")
    if (credential := _credential()) and credential.is_file():
        return Key(_read(credential), f"the credential {credential}")
    if text := _in_keyring():
        return Key(text, "the keyring")
    if (file := key_file()).exists():
        _refuse_open_file(file)
        return Key(_read(file), str(file))
    raise OptionsError(
        f"no key of KMA's API hub: get one at {PAGE}, then run 'hsrgeo fetch key --set', or set {VARIABLE}"
    )


def places() -> list[str]:
    """Return where a key is looked for, in this order, for people."""
    credential = _credential() or f"$CREDENTIALS_DIRECTORY/{NAME}"
    return [f"the variable {VARIABLE}", f"the systemd credential {credential}", _KEYRING, f"the file {key_file()}"]


_KEYRING = f"the keyring: service hsrgeo, user {NAME} (where the package keyring is installed)"


def key_file() -> Path:
    """Return the file that `save_key` writes."""
    return home_folder("XDG_CONFIG_HOME", ".config") / NAME


def home_folder(variable: str, below: str) -> Path:
    """Return hsrgeo's folder of a kind in the user's home (XDG Base Directory Specification).

    Raises:
        OptionsError: Nobody knows where that is.
    """
    try:
        return Path(os.environ.get(variable) or Path.home() / below) / "hsrgeo"
    except RuntimeError:
        raise OptionsError(f"this user has no home folder: set {variable} to a folder") from None


def save_key(text: str) -> Path:
    """Write the key to its file, which only its owner can read; return the file.

    Raises:
        OptionsError: It cannot be a key.
        WriteError: The disk refused.
    """
    Key(text, "what was given")
    file = key_file()
    part = file.with_name(f".{NAME}.{secrets.token_hex(8)}.part")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as stream:  # noqa: PTH123 - of a descriptor
                stream.write("".join(text.split()) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(str(file), f"cannot be written: {error.strerror}") from None
    return file


def forget_key() -> bool:
    """Remove the file of the key; tell whether there was one."""
    try:
        key_file().unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise WriteError(str(key_file()), f"cannot be removed: {error.strerror}") from None
    return True


def _credential() -> Path | None:
    """Return where systemd puts the credential (systemd.exec, ``LoadCredential=``); None outside of a service."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder, NAME) if folder else None


def _in_keyring() -> str:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return ""
    with suppress(Exception):  # no keyring is there, or it is locked: each kind has errors of its own
        return keyring.get_password("hsrgeo", NAME) or ""
    return ""


def _refuse_open_file(file: Path) -> None:
    if os.name != "posix":  # the permissions of Windows are others
        return
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OptionsError(f"{file}: expected a file with the key of KMA's API hub")
    if mode & 0o077:
        raise OptionsError(f"{file}: others can read the key of KMA's API hub: chmod 600 '{file}'")


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_MOST_BYTES).decode("utf-8-sig", "replace")  # an error would carry the key
    except OSError as error:
        raise OptionsError(f"{file}: the key cannot be read: {error.strerror}") from None
