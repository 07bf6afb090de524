"""The command `hsrgeo`, also as `python -m hsrgeo`: what it sees to before anything else is imported."""

from __future__ import annotations

import os
import sys

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib is not here yet
if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != _HOME:
    # `python -m` put the current folder first, where strangers' files may lie. What Python has imported by now may be
    # from there, hsrgeo among it; `python -P -m hsrgeo` does not put it there at all.
    sys.path.pop(0)

import atexit
import signal
import threading
import time
from types import FrameType

from hsrgeo.engine.workers.modules import leave_out_boto3
from hsrgeo.engine.workers.streams import fill_closed_streams
from hsrgeo.model.env_variables import own_variables

_SAME_WISH_S = 2.0
_AGAIN_S = 0.05


class Ending:
    """Makes Ctrl-C, a request to end (SIGTERM) and a terminal that goes (SIGHUP) the same: a `KeyboardInterrupt`.

    On its way out what is half-written and put aside is removed; its argument is the signal's number, of which the
    exit status is made. People press Ctrl-C twice, and `timeout` asks the process and its group: what comes within two
    seconds is the same wish. What comes later ends the process where it stands, as kill -9 would.
    """

    def __init__(self) -> None:
        self._number = 0
        self._begun: float | None = None
        self._deaf = False  # to Ctrl-C, as a script's shell makes what it puts in the background
        self._unraisable = sys.unraisablehook

    def install(self) -> None:
        """Handle these signals from now on."""
        # The first to be registered comes last: Python then gives signals back to the system, which would end it by one
        # that came late, with another exit status.
        atexit.register(self._deafen)
        self._deaf = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        signal.signal(signal.SIGINT, self)
        sys.unraisablehook = self._unheard
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # not every system has them
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it, of workers too
                signal.signal(number, self)

    def _unheard(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Raise again, a moment later, what Python threw away: it does so in callbacks, such as those of imports."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            self._unraisable(unraisable)
            return
        self._begun = None
        again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), self._number or signal.SIGINT))
        again.daemon = True
        again.start()

    def _deafen(self) -> None:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if (number := getattr(signal, name, None)) is not None and signal.getsignal(number) is self:
                signal.signal(number, signal.SIG_IGN)

    def over(self) -> None:
        """Take note that all is done: who interrupts now is too late."""
        self._begun = self._begun or time.monotonic()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if not self._number:
            if number == signal.SIGINT and self._deaf:
                return
            self._number = number
        if self._begun is None:
            # While workers start, Ctrl-C is held back (hsrgeo.engine.workers), and so must be what stands for it.
            ctrl_c = signal.getsignal(signal.SIGINT)
            if number != signal.SIGINT and callable(ctrl_c) and ctrl_c is not self:
                ctrl_c(signal.SIGINT, frame)
                return
            self._begun = time.monotonic()
            raise KeyboardInterrupt(self._number)
        if time.monotonic() - self._begun > _SAME_WISH_S:
            os._exit(128 + self._number)


def main() -> None:
    """Run the command line."""
    ending = Ending()
    ending.install()
    try:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as workers; it complains where it gets no threads
        fill_closed_streams()
        sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - joblib flushes both
        sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        own_variables()
        leave_out_boto3()
        from hsrgeo.cli import main as run  # noqa: PLC0415 - takes a moment, in which a user may press Ctrl-C

        run()
    except KeyboardInterrupt as interrupt:  # before a command had begun
        sys.exit(128 + (interrupt.args[0] if interrupt.args else signal.SIGINT))
    finally:
        ending.over()


if __name__ == "__main__":
    main()
