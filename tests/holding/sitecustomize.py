"""Stops a command that is under way: with this folder in PYTHONPATH it waits where it first opens or imports HOLD_AT.

Nothing of hsrgeo is changed or replaced. A file ``held`` in the folder HOLD_IN, with the number of the process, says
that it waits there; a file ``go`` lets it go on. CLOCK_JUMPS moves the wall clock instead: two looks at it are a year
apart, forwards or backwards.
"""

import datetime as dt
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, Self

_at, _in = os.environ.get("HOLD_AT", ""), Path(os.environ.get("HOLD_IN", "/nowhere"))
_nth = int(os.environ.get("HOLD_NTH", "1"))
_seen = 0
_TOKENS = re.compile(r"/\.{1,2}([^./][^/]*?)(\.[0-9a-f]{8}\.staged)?\.[0-9a-f]{16}\.part$")
# ^ a name while it is written; here it is `.name.part`, for nobody knows the rest


def _hold(event: str, args: tuple[Any, ...]) -> None:
    global _seen  # noqa: PLW0603
    if event not in ("open", "import") or not isinstance(args[0], (str, os.PathLike)):
        return
    if not _TOKENS.sub(r"/.\1.part", os.fsdecode(args[0])).endswith(_at) or (_in / "held").exists():
        return
    _seen += 1
    if _seen == _nth:
        (_in / "held.part").write_text(str(os.getpid()))
        (_in / "held.part").rename(_in / "held")
        while not (_in / "go").exists():
            time.sleep(0.005)


sys.modules["boto3"] = None  # type: ignore[assignment] # rasterio would take a third of a second to import it

if _at:
    sys.addaudithook(_hold)

if os.environ.get("CLOCK_JUMPS"):
    _time, _time_ns, _looks = time.time, time.time_ns, iter(range(1, 1 << 62))
    _YEAR_S = 365 * 86400

    def _off() -> int:
        return (1, -1, 0)[next(_looks) % 3] * _YEAR_S

    class _Jumping(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            return super().now(tz) + dt.timedelta(seconds=_off())

    time.time = lambda: _time() + _off()
    time.time_ns = lambda: _time_ns() + _off() * 10**9
    dt.datetime = _Jumping  # type: ignore[misc]
