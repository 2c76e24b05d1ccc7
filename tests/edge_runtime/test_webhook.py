"""What a web server may do to a webhook, and what becomes of the outcomes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.sinks.base import FIELDS
from edge_runtime.sinks.http_post import Poster
from edge_runtime.sinks.webhook import FIRST_WAIT_S, LONGEST_RETRY_AFTER_S, LONGEST_WAIT_S, Webhook
from split_core.errors import ConfigError
from tests.certificates import Authority
from tests.sink_peers import WebPeer, outcome


class Hours(threading.Event):
    """The program's end, which never comes; whoever waits for it has waited at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        return self.is_set()

    @property
    def now_s(self) -> float:
        return sum(self.waits)


class Hook:
    """A webhook whose time is that of `hours`.

    Attributes:
        told: what it said of its peer.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.hours, self.told = Hours(), list[str]()
        rng, tell = np.random.default_rng(7), self.told.append
        self.sink = Webhook(url=url, tell=tell, rng=rng, clock=lambda: self.hours.now_s, **options)

    def deliver(self, *seqs: int) -> dict[str, int]:
        return dict(self.sink.deliver([outcome(seq) for seq in seqs], self.hours))


@pytest.fixture
def peer() -> Iterator[WebPeer]:
    made = WebPeer()
    yield made
    made.end()


@pytest.fixture
def hooked() -> Iterator[Callable[..., Hook]]:
    with ExitStack() as stack:

        def made(url: Any, **options: Any) -> Hook:
            hook = Hook(url, **options)
            stack.callback(hook.sink.close)
            return hook

        yield made


def test_a_post_is_a_list_of_what_an_outcome_has(peer: WebPeer, hooked: Callable[..., Hook]):
    assert hooked(peer.url, headers={"X-Site": "north"}).deliver(4, 5) == {}
    [(_, headers, body)] = peer.posts
    assert [sorted(one) for one in body] == [sorted(FIELDS)] * 2
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Site"] == "north"


def test_a_batch_of_one_is_posted_as_it_is(peer: WebPeer, hooked: Callable[..., Hook]):
    hook = hooked(peer.url, batch=1)
    assert hook.sink.at_once == 1
    assert hook.deliver(4) == {}
    assert peer.posts[0][2]["seq"] == 4


def test_one_connection_serves_for_many_posts(peer: WebPeer, hooked: Callable[..., Hook]):
    hook = hooked(peer.url)
    for seq in range(5):
        assert hook.deliver(seq) == {}
    assert (len(peer.posts), peer.connections) == (5, 1)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_be_better_later_is_tried_again_and_waits_grow(
    peer: WebPeer, status: int, hooked: Callable[..., Hook]
):
    peer.script = [(status, {})] * 9
    hook = hooked(peer.url)
    assert hook.deliver(1) == {}
    assert peer.got() == [1]
    longest = [min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt) for attempt in range(9)]
    assert all(0.5 * most <= wait <= most for wait, most in zip(hook.hours.waits, longest, strict=True))


def test_cameras_that_lost_their_peer_at_once_do_not_come_back_at_once(peer: WebPeer, hooked: Callable[..., Hook]):
    waits = set()
    for seed in range(5):
        hook = hooked(peer.url)
        hook.sink._rng = np.random.default_rng(seed)
        peer.script = [(503, {})]
        assert hook.deliver(1) == {}
        waits |= set(hook.hours.waits)
    assert len(waits) == 5


def test_trying_again_has_an_end_and_the_loss_is_counted(peer: WebPeer, hooked: Callable[..., Hook]):
    peer.status = 500
    hook = hooked(peer.url, attempts=3)
    assert hook.deliver(1, 2) == {"unreachable": 2}
    assert len(peer.posts) == 3
    peer.status = 200
    assert hook.deliver(3) == {}
    assert peer.got() == [3]


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 413, 501])
def test_what_will_not_be_better_later_is_not_tried_again(peer: WebPeer, status: int, hooked: Callable[..., Hook]):
    peer.script = [(status, {"Location": peer.url})]
    hook = hooked(peer.url)
    assert hook.deliver(1) == {"refused": 1}
    assert hook.deliver(2) == {}
    assert (peer.got(), hook.hours.waits) == ([2], [])


def test_who_asks_for_time_gets_it_and_no_more_than_that(peer: WebPeer, hooked: Callable[..., Hook]):
    peer.script = [(429, {"Retry-After": "7"})]
    hook = hooked(peer.url)
    assert hook.deliver(1) == {}
    assert hook.hours.waits == [7.0]


def test_who_asks_for_time_gets_it_from_the_next_outcomes_too(peer: WebPeer, hooked: Callable[..., Hook]):
    peer.script = [(429, {"Retry-After": "7"})]
    hook = hooked(peer.url, attempts=1)
    assert hook.deliver(1) == {"unreachable": 1}
    assert hook.hours.waits == []
    assert hook.deliver(2) == {}
    assert hook.hours.waits == [7.0]


def test_nobody_may_ask_for_more_than_an_hour(peer: WebPeer, hooked: Callable[..., Hook]):
    peer.script = [(503, {"Retry-After": "9" * 400})]
    hook = hooked(peer.url)
    assert hook.deliver(1) == {}
    assert hook.hours.waits == [LONGEST_RETRY_AFTER_S]


@pytest.mark.parametrize(("said", "seconds"), [("17", 17.0), (formatdate(1060, usegmt=True), 60.0), ("soon", None)])
def test_time_may_be_asked_for_as_seconds_or_as_a_date(peer: WebPeer, said: str, seconds: float | None):
    peer.script = [(503, {"Retry-After": said})]
    poster = Poster(peer.url, headers={}, timeout_s=5.0, wall=lambda: 1000.0)
    assert poster.post(b"[]").retry_after_s == seconds
    poster.close()


@pytest.mark.parametrize("said", [0, 10])
def test_a_connection_that_ends_within_an_answer_brings_the_same_outcomes_again(
    peer: WebPeer, said: int, hooked: Callable[..., Hook]
):
    peer.script = [(said, {}), (said, {})]
    hook = hooked(peer.url)
    assert hook.deliver(1, 2) == {}
    assert [[(one["camera"], one["seq"], one["captured_at"]) for one in body] for _, _, body in peer.posts] == [
        [("door", 1, 0.0), ("door", 2, 0.0)]
    ] * 3  # a receiver that has them already can tell


def test_a_connection_that_was_closed_for_its_age_is_no_trouble(peer: WebPeer, hooked: Callable[..., Hook]):
    hook = hooked(peer.url)
    assert hook.deliver(1) == {}
    peer.script = [(0, {})]
    assert hook.deliver(2) == {}
    assert (peer.got(), hook.told, hook.hours.waits) == ([1, 2], [], [])


def test_a_peer_that_hangs_is_left_after_a_time_and_tried_again(peer: WebPeer, hooked: Callable[..., Hook]):
    peer.hang()
    hook = hooked(peer.url, timeout_s=0.05, attempts=2)
    assert hook.deliver(1) == {"unreachable": 1}
    assert hook.told == [f"127.0.0.1:{peer.port}: no answer in time"]
    peer.heal()
    assert hook.deliver(2) == {}


def test_trouble_is_said_once_and_once_when_it_is_over(peer: WebPeer, hooked: Callable[..., Hook]):
    peer.script = [(500, {})] * 5
    hook = hooked(peer.url)
    assert hook.deliver(1) == {}
    assert hook.deliver(2) == {}
    name = f"127.0.0.1:{peer.port}"
    assert hook.told == [f"{name}: it answered 500 Internal Server Error", f"{name}: takes outcomes again"]


def test_the_programs_end_leaves_one_attempt(peer: WebPeer, hooked: Callable[..., Hook]):
    peer.status = 500
    hook = hooked(peer.url)
    hook.hours.set()
    assert hook.deliver(1, 2) == {"closing": 2}
    assert len(peer.posts) == 1


def test_the_programs_end_does_not_hurry_a_peer_that_asked_for_time(peer: WebPeer, hooked: Callable[..., Hook]):
    peer.script = [(429, {"Retry-After": "7"})]
    hook = hooked(peer.url, attempts=1)
    assert hook.deliver(1) == {"unreachable": 1}
    hook.hours.set()
    assert hook.deliver(2) == {"closing": 1}
    assert len(peer.posts) == 1


def test_a_peer_is_believed_who_has_the_right_certificate(tmp_path: Path, hooked: Callable[..., Hook]):
    authority = Authority(tmp_path)
    peer = WebPeer(tls=authority.server())
    try:
        assert hooked(peer.url, ca=authority.ca).deliver(1) == {}
        stranger = hooked(peer.url, attempts=1)
        assert stranger.deliver(2) == {"unreachable": 1}
    finally:
        peer.end()
    assert peer.got() == [1]
    assert "certificate" in stranger.told[0]


def test_no_secret_goes_in_the_clear(peer: WebPeer, monkeypatch: pytest.MonkeyPatch, hooked: Callable[..., Hook]):
    monkeypatch.setenv("HOOK_TOKEN", "Bearer hush")
    headers = {"Authorization": {"env": "HOOK_TOKEN"}}
    with pytest.raises(ConfigError, match="a secret would go in the clear; give https://, or plain: true"):
        hooked(peer.url, headers=headers)
    assert hooked(peer.url, headers=headers, plain=True).deliver(1) == {}
    assert peer.posts[0][1]["Authorization"] == "Bearer hush"


def test_an_address_may_be_a_secret_and_nobody_reads_it(peer: WebPeer, tmp_path: Path, hooked: Callable[..., Hook]):
    (tmp_path / "url").write_text(peer.url + "/hush\n")
    hook = hooked({"file": str(tmp_path / "url")}, plain=True, attempts=1)
    peer.status = 500
    assert hook.deliver(1) == {"unreachable": 1}
    assert hook.told
    assert "hush" not in str(hook.told)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "ftp://here/"}, "url: not an address; expected http://host:80 or https://host:443"),
        ({"url": "http://user:hush@here/"}, "in ASCII and without a user"),
        ({"url": "http://here/", "ca": "/no/such.pem"}, None),
        ({"url": "https://here/", "ca": "/no/such.pem"}, "ca: /no/such.pem cannot be read"),
        ({"url": "https://here/", "headers": {"A": "b\r\nC: d"}}, "headers.A: expected a header's name and a text"),
        ({"url": "https://here/", "headers": {"A": {"env": "NO_SUCH_VARIABLE"}}}, "NO_SUCH_VARIABLE is absent"),
        ({"url": "https://here/", "headers": ["A"]}, "headers: expected a mapping of names to texts"),
        ({"url": "https://here/", "batch": 0}, "batch"),
    ],
)
def test_what_cannot_be_is_one_line_that_holds_no_secret(
    options: dict[str, Any], said: str | None, hooked: Callable[..., Hook]
):
    if said is None:
        assert hooked(**options).told == []  # nothing is encrypted, so nobody has to sign
        return
    with pytest.raises(ConfigError, match=said) as caught:
        hooked(**options)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)
