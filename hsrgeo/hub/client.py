"""One question to KMA's API hub at a time, over one connection, with a deadline for the whole of it.

The key stands in the address of a request, which is made in one function only; whatever the service or an exception
says goes through `Key.hide` before it is shown. No redirect is followed: the key would go with it.
"""

from __future__ import annotations

import base64
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from hsrgeo.errors import HubError, HubLimitError, OptionsError
from hsrgeo.hub.answers import Answer, meaning_of
from hsrgeo.hub.budget import Budget, Limits, Turn
from hsrgeo.hub.key import PAGE, Key, find_key

HOST = "apihub.kma.go.kr"
"""For ordinary members; ``apihub-org.kma.go.kr`` is for those with a large volume."""
_HOSTS = re.compile(r"[a-z0-9-]+\.kma\.go\.kr")
_LOOPBACK = re.compile(r"http://127\.0\.0\.1:\d{1,5}")  # tests, and a tunnel of one's own
_DEADLINE_S = 60.0
"""For a whole answer. A frame took up to 25 s, as others saw it."""
_PAUSES_S = (30.0, 60.0, 120.0, 300.0)
"""After the first, second ... answer 429 in a row, where the service tells no other."""
_AGAIN_S = 5.0
"""After an answer that did not come, or not whole; once."""
_CHUNK = 1 << 16
_SHOWN = 200  # letters of what the service says


class Hub:
    """The service, with a key and within limits.

    Args:
        key: The key; None to look for it when it is needed first, see `hsrgeo.hub.key.find_key`.
        host: ``apihub.kma.go.kr``, another host of KMA, or ``http://127.0.0.1:PORT``.
        limits: What all runs on this machine together may ask.

    Raises:
        OptionsError: No such host: the key goes to KMA only.
    """

    def __init__(self, key: Key | None = None, host: str = HOST, limits: Limits | None = None) -> None:
        if not (_HOSTS.fullmatch(host) or _LOOPBACK.fullmatch(host)):
            raise OptionsError(f"host {host}: the key goes to hosts of kma.go.kr only, such as {HOST}")
        self._key = key
        self._host = host
        self._name = "KMA's API hub" if host == HOST else host
        self.budget = Budget(limits or Limits())

    @property
    def key(self) -> Key:
        """The key.

        Raises:
            OptionsError: There is none, or it cannot be used.
        """
        if self._key is None:
            self._key = find_key()
        return self._key

    def ask(self, path: str, query: Mapping[str, str], *, most_bytes: int) -> tuple[Answer, bool]:
        """Ask, after the pause that is due; wait and ask again where the service asks too much of itself.

        The query comes without the key; an answer longer than `most_bytes` is none.

        Returns:
            The answer, and whether it is there: False where the service says that it has no such data.

        Raises:
            HubError: No sound answer came, also the second time.
            HubLimitError: A limit is reached, or the service refuses every connection.
            OptionsError: The key or its owner may not ask this.
        """
        pauses, tries = iter(_PAUSES_S), 2
        while True:
            tries -= 1
            try:
                answer = self._answer(path, query, most_bytes, pauses)
            except (OSError, HTTPException) as error:
                problem = self._problem(error)
                if not tries and isinstance(error, ConnectionRefusedError):
                    raise HubLimitError(problem) from None
            else:
                if answer is None:  # it was asked too fast, and has had its pause
                    tries += 1
                    continue
                meaning, message = meaning_of(answer)
                if meaning in ("data", "missing"):
                    return answer, meaning == "data"
                problem = self._refusal(meaning, message, answer, path)
            if not tries:
                raise HubError(problem)
            _sleep(_AGAIN_S)

    def shown(self, text: str) -> str:
        """Return what the service says, as it may be shown: without the key, in one line, and short."""
        line = " ".join(self.key.hide(text).split())
        return repr(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}...")

    def _answer(self, path: str, query: Mapping[str, str], most_bytes: int, pauses: Any) -> Answer | None:  # noqa: ANN401
        """Ask once. None where it was too fast: the pause that is due then is noted, for all runs."""
        key = self.key  # before a question is counted
        with self.budget.turn() as turn:
            answer = self._asked(key, path, query, most_bytes, turn)
            meaning, message = meaning_of(answer)
            if meaning != "too fast":
                return answer
            pause, wanted = next(pauses, None), answer.retry_after_s
            turn.pause(max(wanted, 1.0) if wanted is not None else pause or _PAUSES_S[-1])
            if pause is None:
                raise HubLimitError(
                    f"{self._name} still answers {answer.status} after long pauses: {self.shown(message)}"
                )
            return None

    def _asked(self, key: Key, path: str, query: Mapping[str, str], most_bytes: int, turn: Turn) -> Answer:
        connection = _connection(self._host)
        deadline = _Deadline(connection)
        body, bug = bytearray(), ""
        try:
            with closing(connection):
                headers = {"Accept-Encoding": "identity", "User-Agent": "hsrgeo", "Connection": "close"}
                parameters = urlencode(query, quote_via=quote)
                connection.connect()
                deadline.socket = connection.sock
                connection.request("GET", f"{path}?{parameters}&{key.parameter()}", headers=headers)
                response = connection.getresponse()
                headers = {name.lower(): value for name, value in response.getheaders()}
                _read_into(body, response, most_bytes)
        except (OSError, HTTPException):
            if not deadline.is_over:
                raise
        except Exception as error:
            if key.hide(f"{error!r} {error}") == f"{error!r} {error}":
                raise
            bug = type(error).__name__
        finally:
            deadline.cancel()
            turn.add(len(body))
        if bug:  # outside of the block: the error that repeats the address would be the context of this one
            raise RuntimeError(f"{bug} in the HTTP client; its text repeats the key and is not shown")
        if deadline.is_over:
            raise TimeoutError
        return Answer(response.status, headers, bytes(body))

    def _problem(self, error: OSError | HTTPException) -> str:
        if isinstance(error, ConnectionRefusedError):
            if _LOOPBACK.fullmatch(self._host):
                return f"{self._name} (--host) refuses the connection: is the server or tunnel there running?"
            return (
                f"{self._name} refuses the connection: it does so after too many questions or bytes, and to some "
                "addresses abroad; or a firewall on the way does. Try later, or from another network"
            )
        if isinstance(error, TimeoutError):
            return f"{self._name} gave no whole answer within {_DEADLINE_S:g} s"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{self._name} shows a certificate that cannot be trusted: {error.verify_message}"
        reason = self.shown(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        return f"{self._name} cannot be reached, or broke off: {reason}"

    def _refusal(self, meaning: str, message: str, answer: Answer, path: str) -> str:
        """Return what is wrong with an answer that may be another one the next time; raise where it will not be."""
        says = f"{self._name} reports: {self.shown(message)}"
        if meaning == "not applied":
            name = path.rpartition("/")[2]
            problem = f"your account has not applied for {name}: log in at {PAGE}, find it, and click 활용신청"
            raise OptionsError(f"{problem} ({says})")
        if meaning == "used up":
            raise HubLimitError(f"the daily limit of your account is reached. {says}")
        if meaning == "wrong key":
            portal = "; it looks like one of data.go.kr, which is another" if self.key.is_of_data_portal else ""
            raise OptionsError(f"the key from {self.key.origin} is refused{portal}. {says}")
        if meaning == "overload":
            return f"{self._name} answers {answer.status} with nothing to use: {self.shown(message)}"
        if target := answer.headers.get("location"):
            place = self.shown(target.partition("?")[0])
            return f"{self._name} sends on to {place}, which is not followed: the key would go there"
        return f"{self._name} answers {answer.status}: {self.shown(message)}"


class _Secure(HTTPSConnection):
    """Has its socket before hands are shaken, so that a deadline ends that too."""

    def connect(self) -> None:
        """See `http.client.HTTPConnection`."""
        HTTPConnection.connect(self)
        name = getattr(self, "_tunnel_host", None) or self.host
        self.sock = ssl.create_default_context().wrap_socket(
            self.sock, server_hostname=name, do_handshake_on_connect=False
        )
        self.sock.do_handshake()


def _connection(host: str) -> HTTPConnection:
    """Return a connection, through the proxy that the usual variables name."""
    if host.startswith("http://"):
        return HTTPConnection(urlsplit(host).netloc, timeout=_DEADLINE_S)
    setting = "" if proxy_bypass(host) else getproxies().get("https", "")
    try:
        proxy = urlsplit(setting if "://" in setting else f"//{setting}")
        name, port = proxy.hostname, proxy.port or 80  # as http:// has it
    except ValueError:
        raise OptionsError("the variable HTTPS_PROXY is not a proxy address: expected http://host:port") from None
    if not name:
        return _Secure(host, timeout=_DEADLINE_S)
    connection = _Secure(name, port, timeout=_DEADLINE_S)
    user = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}"
    basic = f"Basic {base64.b64encode(user.encode()).decode()}"  # RFC 7617
    connection.set_tunnel(host, 443, {"Proxy-Authorization": basic} if proxy.username else None)
    return connection


class _Deadline:
    """Ends a connection from another thread when its time is over: whoever reads it sees its end."""

    def __init__(self, connection: HTTPConnection) -> None:
        self.is_over = False
        self.socket: socket.socket | None = None
        """Of the connection, which forgets it before the answer is read; until it is known, that of the connection."""
        self._connection = connection
        self._timer = threading.Timer(_DEADLINE_S, self._end)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """End nothing any more."""
        self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        if used := self.socket or self._connection.sock:
            with suppress(OSError):  # it is closed
                socket.socket.shutdown(used, socket.SHUT_RDWR)  # of TLS too: at once, without a word to the other side


def _read_into(body: bytearray, response: HTTPResponse, most_bytes: int) -> None:
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > most_bytes:
            raise HTTPException(f"more than {most_bytes:,} bytes")
    if response.length:  # what the headers promised, and did not come
        raise HTTPException(f"it ends after {len(body):,} bytes, {response.length:,} too early")


_sleep = time.sleep
