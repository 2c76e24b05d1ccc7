"""`offramp demo`."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from split_core.demo import live, outage, result
from split_core.demo.job import Workshop, prepare
from split_core.demo.processes import run
from split_core.demo.setting import Setting

MADE = ("result.json", "series.json", "report.html", "keys", "decisions", "logs")


def demo(
    out: Annotated[Path, typer.Option(help="Where to write; report.html and result.json are in it at the end.")] = Path(
        "build/demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="The same in under a minute: fewer frames.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json instead of tables.")] = False,
) -> None:
    """Run the whole main job on embedded data: partition, calibrate, profile, then a live stream through a worker.

    The stream runs under several policies, then through three outages of the worker.  Needs no torch, no
    network and no GPU.
    """
    console = Console(stderr=as_json, soft_wrap=True)
    began_s = time.monotonic()
    _clear(out)
    shop = Workshop(
        out,
        Setting.short() if quick else Setting(),
        lambda step, seconds, told: console.print(f"{seconds:6.1f} s  [bold]{step:<22}[/] {told}", highlight=False),
        console.status,
    )
    document = play(shop)
    tables = run(["report", str(out)], shop.log("report"))
    if as_json:
        print(json.dumps(document))
        return
    print(tables)
    console.print(f"{out / 'report.html'} and {out / 'result.json'} are there after {time.monotonic() - began_s:.0f} s")


def play(shop: Workshop) -> dict[str, Any]:
    """The whole job; returns the content of `result.json`."""
    answers = prepare(shop)
    with live.cloud(shop) as running:
        live.play_live(shop, running)
        began_s = time.monotonic()
        with shop.busy("outage"):
            told, timeline = outage.outage_result(shop, outage.play_outage(shop, running))
        shop.tell("outage", time.monotonic() - began_s, outage.in_words(told))
    return result.write(shop, answers, result.replay_all(shop), told, timeline)


def _clear(out: Path) -> None:
    """Remove what an earlier demo left: keys are made anew, and a failed run must not show old figures."""
    for name in MADE:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
