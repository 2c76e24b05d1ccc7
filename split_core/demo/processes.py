"""Commands as processes: run one to its end, or keep one in the background."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from split_core.errors import SplitError

READY_S = 30.0


class StepFailed(SplitError):
    """A command of the demo ended with an error; the message is its last line."""

    exit_code = 3


def command(*words: str) -> list[str]:
    """`offramp WORDS` with this interpreter, so that no installed script is needed."""
    return [sys.executable, "-m", "split_core.cli", *words]


def environment() -> dict[str, str]:
    """This environment, with one thread per numerical library: two processes share few cores here."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads}


def run(words: list[str], log: Path) -> str:
    """Run `offramp WORDS` to its end; returns its standard output, keeps standard error in `log`.

    Raises:
        StepFailed: it ended with an error.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as errors:
        done = subprocess.run(
            command(*words), stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(), check=False
        )
    if done.returncode:
        raise StepFailed(f"'offramp {words[0]}' ended with code {done.returncode}: {last_line(log)} (see {log})")
    return done.stdout


def last_line(log: Path) -> str:
    """The last thing a process said."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


class Background:
    """`offramp WORDS` in the background, until `end`.

    Args:
        words: the command.
        log: gets its output, standard and error.
        ready_file: written by the process when it is ready; None does not wait.
        talks: keep standard output and input open, for `say` and `hear`.
        program: that gets the words, instead of `offramp`.

    Raises:
        StepFailed: it ended, or was not ready in time; nothing is left running.
    """

    def __init__(
        self,
        words: Sequence[str],
        log: Path,
        *,
        ready_file: Path | None = None,
        talks: bool = False,
        program: Sequence[str] = (),
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        if ready_file:
            ready_file.unlink(missing_ok=True)
        self.log = log
        self._name = words[0]
        self._file: IO[str] = log.open("a", encoding="utf-8")
        pipe = subprocess.PIPE if talks else None
        self.process = subprocess.Popen(
            [*(program or command()), *words],
            stdin=pipe,
            stdout=pipe or self._file,
            stderr=self._file,
            text=True,
            env=environment(),
        )
        with ExitStack() as undo:
            undo.callback(self.end)
            self.ready: dict[str, Any] = self._await(ready_file) if ready_file else {}
            undo.pop_all()

    def _await(self, ready_file: Path) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(
            wait_for(ready_file.exists, self._alive, ready_file.read_text, self._name)
        )
        return document

    def _alive(self) -> None:
        if self.process.poll() is not None:
            raise StepFailed(f"'offramp {self._name}' ended: {last_line(self.log)} (see {self.log})")

    def say(self, line: str) -> str:
        """Write one line to its standard input; returns the line it answers."""
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> str:
        """The next line of its standard output."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(timeout=READY_S)
            self._alive()
        return line.strip()

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float) -> None:
        """Wait until it ends by itself.

        Raises:
            StepFailed: it ended with an error, or not in time.
        """
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            self.end()
            raise StepFailed(f"'offramp {self._name}' did not end within {timeout_s:.0f} s (see {self.log})") from error
        if code:
            raise StepFailed(f"'offramp {self._name}' ended with code {code}: {last_line(self.log)} (see {self.log})")

    def end(self) -> None:
        """Stop it: kindly, then not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(timeout=8.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._file):
            if stream:
                stream.close()


def wait_for(
    happened: Callable[[], bool], check: Callable[[], None], result: Callable[[], str], what: str, every_s: float = 0.01
) -> str:
    """Look every `every_s` until `happened`, calling `check` on the way; then `result`.

    It looks instead of being told, because what it waits for is a file: a worker and a camera say by one that they are
    ready, whoever started them, a shell included, and the standard library cannot wait for a file.  A pipe would
    be a second way to say the same, for the demo alone.  A look costs microseconds, and it ends: by `check`, which
    sees to it that the process still lives, or after `READY_S`.

    Raises:
        StepFailed: it took more than `READY_S`, or `check` says that it will never be.
    """
    until = time.monotonic() + READY_S
    while not happened():
        check()
        if time.monotonic() > until:
            raise StepFailed(f"'offramp {what}' was not ready after {READY_S:.0f} s")
        time.sleep(every_s)
    return result()
