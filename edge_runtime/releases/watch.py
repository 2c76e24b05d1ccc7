"""Follows the pointers of a release store while the camera runs; whatever takes time is done in a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge_runtime.frames.ticket import Rules
from edge_runtime.releases.lineup import Lineup
from split_core import wire
from split_core.errors import ReleaseError, SplitError, of_disk
from split_core.release_store import ReleaseStore

LOOK_EVERY_S = 0.5
CLOSE_S = 2.0
MOST_TRIES = 3  # of a release whose trials never end: it ends the process
RETIRED_S = 30.0  # an engine is freed so long after its last frame began, in this thread: it may take its time


@dataclass(frozen=True, eq=False)
class Found:
    """A pointer has moved.

    Attributes:
        name: of the version.
        state: "trial", or "active" when a person has moved that.
        lineup: None when it cannot be used.
        before: the rules in force once more, by camera; see `Place.asked`.
        why: it cannot be used.
        gone: was it taken away from its trial?
    """

    name: str
    state: str
    lineup: Lineup | None = None
    before: Mapping[str, Rules] = field(default_factory=dict)
    why: str = ""
    gone: bool = False


@dataclass(frozen=True)
class Heard:
    """What workers say about the bundle of a release, by address."""

    name: str
    answers: Mapping[str, bool | None]


Event = Found | Heard
Load = Callable[[str], tuple[Lineup, Mapping[str, Rules]]]


class ReleaseWatch:
    """Looks every half second; the frame loop takes what was found when it suits it, and says what became of it.

    Args:
        store: is followed.
        active: the version that the device has started with.
        load: a version's lineup, and the rules in force once more.
        ask: which workers have a bundle.
        tell: told in one line what keeps it from going on.
        wake: called when something was found.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: ReleaseStore,
        active: str,
        *,
        load: Load,
        ask: Callable[[wire.Hello], Mapping[str, bool | None]],
        tell: Callable[[str], None],
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._load, self._ask = store, load, ask
        self._tell, self._wake, self._clock = tell, wake, clock
        self._taken = {"active": active, "trial": ""}
        self._wanted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._found: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._retired: list[tuple[float, object]] = []
        self._said = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="release-watch", daemon=True)

    def start(self) -> None:
        """Begin to look: when the network that runs is warm."""
        self._thread.start()

    def close(self) -> None:
        """Write down what became of a trial and end the thread, if it was started; what is being loaded is left."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def take(self) -> list[Event]:
        """What was found since the last call; costs next to nothing when that is nothing."""
        found: list[Event] = []
        while not self._found.empty():
            found.append(self._found.get())
        return found

    def keep(self, name: str) -> None:
        """It has stood its trial: it is active from now on."""
        self._wanted.put(lambda: self._keep(name))

    def refuse(self, name: str, why: str) -> None:
        """It has not."""
        self._wanted.put(lambda: self._refuse(name, why))

    def ask(self, name: str, hello: wire.Hello) -> None:
        """Find out which workers have its bundle."""
        self._wanted.put(lambda: self._put(Heard(name, self._ask(hello))))

    def retire(self, leaving: object) -> None:
        """Free it, when the last of its frames has its outcome."""
        self._wanted.put(lambda: self._retired.append((self._clock() + RETIRED_S, leaving)))

    def _run(self) -> None:
        while not self._ending.wait(LOOK_EVERY_S):
            self.look()
        self.look()

    def look(self) -> None:
        """Do what was asked for, then look at the pointers."""
        try:
            while not self._wanted.empty():
                self._wanted.get()()
            for state in () if self._ending.is_set() else ("active", "trial"):
                self._look_at(state)
            self._said = ""
        except SplitError as error:  # tried again at the next look: the disk may have room by then
            self._say(str(error))
        except OSError as error:
            self._say(of_disk(error) or str(error))
        self._retired = [(until_s, leaving) for until_s, leaving in self._retired if self._clock() < until_s]

    def _look_at(self, state: str) -> None:
        name, taken = self._store.pointer(state), self._taken[state]
        if name == taken:
            return
        if taken and state == "trial":
            self._put(Found(taken, "trial", why="it was taken away from its trial", gone=True))
            self._taken[state] = ""  # what comes instead is looked at next time, beside what runs then
            return
        if name and (state == "active" or self._may_begin(name)):
            self._put(self._loaded(state, name))
            self._taken[state] = name

    def _may_begin(self, name: str) -> bool:
        tries = self._store.begin(name)
        if tries > MOST_TRIES:
            self._refuse(name, f"its trial was begun {MOST_TRIES} times and never ended")
        return tries <= MOST_TRIES

    def _loaded(self, state: str, name: str) -> Found:
        try:
            self._store.load(name)
            return Found(name, state, *self._load(name))
        except SplitError as error:
            return Found(name, state, why=str(error))

    def _keep(self, name: str) -> None:
        self._taken = {"active": name, "trial": ""}
        try:
            self._store.promote("active", name)
        except SplitError:
            self.keep(name)  # once more, at the next look
            raise

    def _refuse(self, name: str, why: str) -> None:
        if self._taken["trial"] == name:
            self._taken["trial"] = ""
        try:
            self._store.refuse(name, why)
        except ReleaseError:
            self._taken["trial"] = name
            self.refuse(name, why)
            raise

    def _put(self, event: Event) -> None:
        self._found.put(event)
        self._wake()

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._tell(line)
