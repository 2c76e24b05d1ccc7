"""What `--plot` shows of a network, as data; `partitioner.plot` draws it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from partitioner.data import SUFFIXES, arrays_of, canonical_images
from partitioner.listing import CutRow
from partitioner.network import Network
from partitioner.timing import Clock, Progress, timed_here, timed_there
from split_core.codecs import CODECS
from split_core.errors import ConfigError, DataError
from split_core.preprocess import AnyPreprocess, Preprocess, read_image
from split_core.profiles import HwProfile
from split_core.registry import resolve
from split_core.tensors import Array

KINDS = (".png", ".svg")
PICTURES = 500  # are enough for a median


@dataclass(frozen=True)
class Input:
    """The network's own input, to compare cuts with.

    Attributes:
        row_bytes: of one sample as the network takes it.
        pixels: bytes of the canonical image; None for a network that takes no images.
        jpeg: median bytes of that image as a JPEG, and of how many; None when no pictures were given.
    """

    row_bytes: int
    pixels: int | None = None
    jpeg: tuple[int, int] | None = None


@dataclass(frozen=True)
class Picture:
    """Bytes and time along a network.

    Attributes:
        name: the network's.
        rows: its cuts, in the order of depth.
        chosen: indices of those that were chosen, in order.
        progress: when each is reached.
        given: the network's input.
        sizes: how long the dynamic axes are.
    """

    name: str
    rows: Sequence[CutRow]
    chosen: tuple[int, ...]
    progress: Progress
    given: Input
    sizes: dict[str, int]

    @property
    def caption(self) -> str:
        """What the drawing rests on, in words, a line each."""
        measured = sum(self.progress.measured)
        others = len(self.rows) - measured
        lines = [
            f"Time of one sample on {self.progress.where}; measured at {measured} cuts"
            + (f", {others} interpolated by compute" if others else "")
            + "."
        ]
        if self.sizes:
            lines.append(f"Sizes: {', '.join(f'{name} {size}' for name, size in self.sizes.items())}.")
        if self.given.pixels is not None and self.given.jpeg is None:
            lines.append("For a line with the input's size as JPEG give --pictures FILE_OR_FOLDER.")
        return "\n".join(lines)


@dataclass(frozen=True)
class Drawing:
    """What `--plot` and `--pictures` ask for, checked before the long work begins.

    Attributes:
        path: of the file to write.
        pictures: an image file, a folder of them, or an `.npz` with `images`; None for no JPEG line.
        draw: draws.
    """

    path: Path
    pictures: Path | None
    draw: Callable[[Picture, Path], None]


def drawing_of(path: Path | None, pictures: Path | None) -> Drawing | None:
    """The drawing that is asked for, if one is.

    Raises:
        ConfigError: neither .png nor .svg, or pictures and nothing to draw.
        MissingExtra: matplotlib is not installed.
    """
    if path is None and pictures is not None:
        raise ConfigError(f"--pictures {pictures}: is for the drawing; give --plot FILE too")
    if path is None:
        return None
    if path.suffix.lower() not in KINDS:
        raise ConfigError(f"--plot {path}: expected a file that ends in {' or '.join(KINDS)}")
    return Drawing(path, pictures, resolve("partitioner.plot:draw", "--plot", "report"))


def picture_of(
    network: Network,
    rows: Sequence[CutRow],
    chosen: Sequence[tuple[str, ...]],
    *,
    name: str,
    given: Input,
    profile: HwProfile | None,
    clock: Clock,
) -> Picture:
    """Measure, and put together what is drawn.

    Args:
        network: imported.
        rows: its cuts, in the order of depth.
        chosen: tensors of those that were chosen.
        name: the network's.
        given: its input.
        profile: whose times are drawn; None measures here.
        clock: seconds; only differences matter.

    Raises:
        BackendError: onnxruntime cannot run a part of the network.
        ProfileError: of another network.
    """
    places = tuple(place for place, row in enumerate(rows) if row.tensors in chosen)
    return Picture(
        name=name,
        rows=rows,
        chosen=places,
        progress=timed_here(network, rows, places, clock) if profile is None else timed_there(network, rows, profile),
        given=given,
        sizes={name: sizes[0] for name, sizes in network.axes.items()},
    )


def input_of(network: Network, said: AnyPreprocess | None, pictures: Path | None) -> Input:
    """The network's input, with its size as JPEG when there are pictures.

    Args:
        network: imported.
        said: how a picture becomes the input; None resizes to the network's size.
        pictures: an image file, a folder of them, or an `.npz` with `images`.

    Raises:
        ConfigError: pictures for a network that takes none.
        DataError: they cannot be read.
    """
    specs = [network.spec(name) for name in network.flow.inputs]
    row_bytes = sum(spec.row_bytes({name: sizes[0] for name, sizes in network.shapes.axes.items()}) for spec in specs)
    preprocess = said if said is not None else _plain(network)
    if not isinstance(preprocess, Preprocess):
        if pictures is not None:
            taken = ", ".join(f"{spec.name} {spec.dtype} {spec.row_shape}" for spec in specs)
            raise ConfigError(f"--pictures {pictures}: the network takes no images but {taken}")
        return Input(row_bytes)
    pixels = int(np.prod(preprocess.image_shape))
    return Input(row_bytes, pixels, None if pictures is None else jpeg_bytes(pictures, preprocess))


def _plain(network: Network) -> Preprocess | None:
    """The picture that fits the network's only input: float32 (batch, 1 or 3, height, width)."""
    spec = network.spec(network.flow.inputs[0])
    if len(network.flow.inputs) != 1 or spec.dtype != "float32" or len(spec.row_shape) != 3:
        return None
    channels, height, width = (network.shapes.axes[dim][0] if isinstance(dim, str) else dim for dim in spec.row_shape)
    if channels not in (1, 3):
        return None
    return Preprocess(height=height, width=width, colour="rgb" if channels == 3 else "gray")


def jpeg_bytes(path: Path, preprocess: Preprocess) -> tuple[int, int]:
    """Median size of the canonical images as JPEG files, and of how many.

    Raises:
        DataError: no pictures there.
    """
    codec = CODECS.load("jpeg")()
    sizes = [len(codec.encode(image).data) for image in _canonical(path, preprocess)]
    return int(np.median(sizes)), len(sizes)


def _canonical(path: Path, preprocess: Preprocess) -> Sequence[Array]:
    if path.suffix == ".npz":
        return list(canonical_images(path, arrays_of(path, ("images",))["images"][:PICTURES], preprocess))
    files = [path] if not path.is_dir() else [f for f in sorted(path.rglob("*")) if f.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"{path}: no images; expected an image file, a folder of them, or an .npz with 'images'")
    return [preprocess.canonical(read_image(str(file))) for file in files[:PICTURES]]
