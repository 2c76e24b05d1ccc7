"""Releases on a running device: what was found is tried, put in force, kept or taken back, between two frames."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import structlog
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge_runtime.config import EdgeConfig
from edge_runtime.frames.ticket import Ending, Rules, Ticket
from edge_runtime.releases.changeover import Changeover
from edge_runtime.releases.comparison import Comparison, may_be_delayed
from edge_runtime.releases.lineup import Lineup, in_place, line_up
from edge_runtime.releases.pull import Pull, puller
from edge_runtime.releases.roll_call import roll_call
from edge_runtime.releases.section import ReleasesSection
from edge_runtime.releases.trial import Before, Trial
from edge_runtime.releases.watch import Found, Heard, ReleaseWatch
from edge_runtime.reload import Reloader
from split_core.release import held_in
from split_core.release_store import ReleaseStore

log = structlog.get_logger("edge")

ASK_EVERY_S = 5.0  # whether a worker has the bundle by now
LEAST_BEFORE = 100  # frames, for its probation to be compared with
STARVED_S = 120.0  # of comparing in idle moments alone
ALONE_AFTER_S = 60.0  # without a link that is up: a worker that restarts, perhaps with the bundle, is back by then
PULL_STREAM = 3  # of randomness, beside those of `opening` and `app`
NOT_ITS_FAULT = ("timeout", "busy", "no_link")  # of a release, while no worker can be reached


class Releases:
    """Takes what a watch has found; all is called by the frames' thread.

    Args:
        section: as configured.
        active: the version that the device has started with.
        change: puts lineups in force.
        watch: follows the store.
        clock: monotonic seconds.
        moved: told, by a configuration that names them, which files are in force.

    Attributes:
        active: the version in force.
        trial: under way; None without one.
        followers: threads that begin at the first `tick`.
        results: trials by their ends: "kept", "refused", "rolled_back"; and "ordered" changes.
    """

    def __init__(
        self,
        section: ReleasesSection,
        active: str,
        *,
        change: Changeover,
        watch: ReleaseWatch,
        clock: Callable[[], float],
        moved: Callable[[EdgeConfig], None] = lambda _: None,
    ) -> None:
        self._section, self._change, self._watch, self._clock, self._moved = section, change, watch, clock, moved
        self._cameras, self._loop, self._offloader = change.cameras, change.loop, change.offloader
        self.active: str = active
        self.trial: Trial | None = None
        self.results: Counter[str] = Counter(dict.fromkeys(("kept", "refused", "rolled_back", "ordered"), 0))
        self._before = Before()
        self._lineup: Lineup | None = None  # on trial
        self._left: Lineup | None = None  # by it, and perhaps for a while only
        self._asked: Mapping[str, Rules] = {}
        self._comparison: Comparison | None = None
        self._begun_at_s = self._ask_at_s = self._up_at_s = 0.0
        self._busy_told = self._wait_told = False
        self.followers: tuple[ReleaseWatch | Pull, ...] = ()

    def ended(self, ticket: Ticket, ending: Ending) -> None:
        """A frame has its outcome."""
        trial = self.trial
        if trial is None or not trial.switched:
            self._before.add(self._is_bad(ticket, ending))
        elif self._lineup and ticket.deployment.prefix is self._lineup.first.deployment.prefix:
            trial.answered(self._is_bad(ticket, ending))
        if self._comparison and trial and trial.asks:
            self._comparison.put(ticket, ending)

    def _is_bad(self, ticket: Ticket, ending: Ending) -> bool:
        """Did it end badly, and may the network be blamed?"""
        if ending.degraded in NOT_ITS_FAULT and not self._reachable():
            return False
        return bool(ending.degraded) or self._clock() > ticket.deadline_at_s

    def _reachable(self) -> bool:
        return any(not link.breaker.is_open for link in self._offloader.links)

    def idle(self) -> bool:
        """Nothing else is to be done: one segment of a comparison, if there is any."""
        return self._comparison is not None and self._comparison.idle()

    def tick(self) -> None:
        """Between two frames.  The first time it begins to follow: what runs is warm by then."""
        for follower in self.followers:
            follower.start()
        self.followers = ()
        for event in self._watch.take():
            if isinstance(event, Heard):
                self._hear(event)
            elif event.gone:
                self._give_up(event)
            elif event.state == "active":
                self._obey(event)
            else:
                self._try(event)
        if self.trial is not None:
            self._go_on(self.trial, self._clock())

    def families(self) -> Iterator[Metric]:
        """For Prometheus, at every scrape."""
        artefacts = next(iter(self._cameras.values())).artefacts
        shown = {"release": self.active, **{name: artefacts.ids[name][:12] for name in ("bundle", "policy")}}
        trial = self.trial  # may end meanwhile: a scrape has a thread of its own
        stage = trial.stage if trial else "none"
        info = GaugeMetricFamily("offramp_release_info", "What is in force.", labels=(*shown, "trial"))
        info.add_metric((*shown.values(), stage), 1.0)
        trials = CounterMetricFamily("offramp_releases", "Releases that were tried or ordered.", labels=("result",))
        for result, count in self.results.items():
            trials.add_metric((result,), count)
        yield from (info, trials)

    def _put_in_force(self, lineup: Lineup) -> None:
        self._change(lineup)
        self.active = lineup.name
        self._moved(lineup.first.artefacts.config)

    def _give_up(self, gone: Found) -> None:
        """A release is not on trial any more."""
        if self.trial and self.trial.name == gone.name:
            self.trial.refuse(gone.why)
            self._end(self.trial)

    def _try(self, found: Found) -> None:
        """A release is on trial."""
        trial = self.trial = Trial(found.name, self._section.terms)
        if found.lineup is None:
            trial.refuse(found.why)
            return
        trial.loaded()
        self._lineup, self._asked, self._busy_told = found.lineup, found.before, False
        self._wait_told = False
        self._begun_at_s = self._ask_at_s = self._up_at_s = self._clock()
        self._compare(trial, found.lineup)
        log.info("release on trial, compared with what runs", release=trial.name, running=self.active)

    def _compare(self, trial: Trial, lineup: Lineup) -> None:
        """By frames that are answered by what runs now; errors of what leaves are no fault of what comes."""
        answering = next(iter(self._cameras.values())).stream.deployment.prefix
        tell = (lambda _: None) if trial.switched else (lambda why: trial.refuse(f"it failed on a frame: {why}"))
        self._comparison = Comparison(lineup.places, answering, on_compared=trial.compared, on_error=tell)

    def _go_on(self, trial: Trial, now: float) -> None:
        trial.tick(now)
        if self._reachable():
            self._up_at_s = now
        if trial.stage == "comparing" and now - self._begun_at_s >= STARVED_S:
            self._compare_between_frames(trial, now)
        if trial.stage == "waiting" and now >= self._ask_at_s and self._before.count >= LEAST_BEFORE:
            self._ask(trial, now)
        if trial.ended:
            self._end(trial)

    def _compare_between_frames(self, trial: Trial, now: float) -> None:
        """There were too few idle moments: one segment now, where that makes no frame late."""
        if not self._busy_told:
            self._busy_told = True
            log.warning("release is compared between frames, too", release=trial.name, compared=trial.comparisons)
        assert self._lineup
        asked, due_at_s = self._lineup.first.deployment, self._offloader.next_due_at()
        delay_ms = asked.budget.longest_ms(asked.prefix.exits)
        in_time = due_at_s is None or (due_at_s - now) * 1e3 > delay_ms
        if in_time and may_be_delayed((camera.stream for camera in self._cameras.values()), delay_ms):
            self.idle()

    def _ask(self, trial: Trial, now: float) -> None:
        assert self._lineup
        if self._section.workers == "alone" or now - self._up_at_s >= ALONE_AFTER_S:
            self._switch(trial)
            return
        self._ask_at_s = now + ASK_EVERY_S
        self._watch.ask(trial.name, self._lineup.first.artefacts.hello())

    def _hear(self, heard: Heard) -> None:
        trial = self.trial
        if trial is None or trial.name != heard.name or trial.stage != "waiting":
            return
        if heard.answers and not any(heard.answers.values()):
            if not self._wait_told:
                log.info("release waits for a worker that has its bundle", release=trial.name)
            self._wait_told = True
            return
        self._switch(trial)
        for link, has in zip(self._offloader.links, heard.answers.values(), strict=False):
            if has is False:  # it would refuse the first frame; it is greeted until it has the bundle
                link.breaker.trip(self._clock())

    def _switch(self, trial: Trial) -> None:
        assert self._lineup
        self._left = in_place(self.active, self._cameras, self._asked, self._loop.together)
        self._put_in_force(self._lineup)
        trial.switch(self._before, self._clock())
        self._comparison = None
        if all(place.asked.id == place.rules.id for place in self._left.places.values()):
            self._compare(trial, self._left)
        log.info("release answers from here on, on probation", release=trial.name, before=self._left.name)

    def _end(self, trial: Trial) -> None:
        left, lineup = self._left, self._lineup
        self.trial = self._comparison = self._lineup = self._left = None
        if trial.stage == "kept":
            self._before = Before()
            self._watch.keep(trial.name)
            self._watch.retire(left)
            self._tell("kept", trial)
            return
        if trial.switched and left:
            self._put_in_force(left)
        self._watch.refuse(trial.name, trial.why)
        self._watch.retire(lineup)
        self._tell("rolled_back" if trial.switched else "refused", trial)

    def _tell(self, result: str, trial: Trial) -> None:
        self.results[result] += 1
        if result == "kept":
            log.info("release kept", release=trial.name)
        else:
            told = "release rolled back" if trial.switched else "release refused, the old one stays"
            log.error(told, release=trial.name, running=self.active, reason=trial.why)

    def _obey(self, found: Found) -> None:
        """A person has made another release active: no trial."""
        if found.lineup is None:
            log.error("release refused, the old one stays", release=found.name, running=self.active, reason=found.why)
            return
        if self.trial is not None:
            self.trial.refuse("another release was made active meanwhile")
            self._end(self.trial)
        leaving = in_place(self.active, self._cameras, found.before, self._loop.together)
        self._put_in_force(found.lineup)
        self._before = Before()
        self._watch.retire(leaving)
        self.results["ordered"] += 1
        log.info("release made active", release=found.name, before=leaving.name)


def follow_releases(
    section: ReleasesSection,
    reloader: Reloader,
    change: Changeover,
    wake: Callable[[], None],
    closing: ExitStack,
) -> Releases:
    """Names become objects, and the loop is told of them.

    Args:
        section: as configured.
        reloader: knows the settings in force, and is told which files are.
        change: puts lineups in force.
        wake: ends a wait of the frames' thread.
        closing: is given what ends it.
    """
    store, config, cameras = ReleaseStore(Path(section.store), section.keys), reloader.config, change.cameras
    active = Path(config.bundle).parent.name

    def load(name: str) -> tuple[Lineup, Mapping[str, Rules]]:
        asked = {camera: one.artefacts.rules() for camera, one in cameras.items()}
        return line_up(name, reloader.config.with_release(held_in(store.folder / name)), cameras), asked

    def tell(line: str) -> None:
        log.error("releases", reason=line)

    watch = ReleaseWatch(store, active, load=load, ask=partial(roll_call, config.link), tell=tell, wake=wake)
    followers: list[ReleaseWatch | Pull] = [watch]
    if section.url:
        rng = np.random.default_rng((config.seed, PULL_STREAM))
        followers.append(Pull(partial(puller, section), section.every_s, rng, tell))
    for follower in followers:
        closing.callback(follower.close)
    releases = Releases(section, active, change=change, watch=watch, clock=time.monotonic, moved=reloader.moved)
    releases.followers = tuple(followers)
    change.loop.on_ended, change.loop.on_idle = releases.ended, releases.idle
    return releases
