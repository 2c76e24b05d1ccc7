"""What a bundle is, as its manifest says: cuts, pieces, labels, preprocessing.  Types only.

The manifest's id is the SHA-256 of its content, which holds the hash of every piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from split_core.errors import ConfigError
from split_core.files import canonical_json, sha256_of
from split_core.preprocess import AnyPreprocess, Preprocess
from split_core.registry import suggestion
from split_core.tensors import TensorSpec

FORMAT = 2


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spec(_Strict):
    """A `TensorSpec` as it is written; `shape[0]` is null for the batch, dynamic axes have names."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    @cached_property
    def spec(self) -> TensorSpec:
        """The checked form."""
        return TensorSpec(self.name, self.dtype, self.shape)

    @model_validator(mode="after")
    def _checks_itself(self) -> Spec:
        TensorSpec(self.name, self.dtype, self.shape)
        return self


class File(_Strict):
    """A file of the bundle, by its path inside, with the `sha256` and number of its bytes."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)

    @field_validator("file")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or not path.parts:
            raise ValueError(f"path {value!r} leaves the bundle")
        return value


class Piece(File):
    """One ONNX file.

    Attributes:
        inputs, outputs: names, in order.  An output that is an input, too, is handed on by whoever runs the
            piece; the ONNX file does not make it.
        trained: False for a head that was attached here and knows nothing yet: it answers 1/C for every class.
        weights: files with those weights that the ONNX file does not hold: it ends at 2 GB, and segments share
            what several of them use.
    """

    inputs: tuple[str, ...] = Field(min_length=1)
    outputs: tuple[str, ...] = Field(min_length=1)
    trained: bool = True
    weights: tuple[File, ...] = ()

    @property
    def made(self) -> tuple[str, ...]:
        """The outputs that the ONNX file makes."""
        return tuple(name for name in self.outputs if name not in self.inputs)


class Precision(_Strict):
    """The same pieces in another precision; what crosses a cut stays as it is, so precisions mix across one."""

    segments: tuple[Piece, ...] = Field(min_length=1)
    heads: tuple[Piece, ...]


class Cut(_Strict):
    """The tensors that cross after segment `index`; cut 0 is the network's input.

    `block` is what people call the place: the part of the network that ends there.
    """

    index: int = Field(ge=0)
    tensors: tuple[Spec, ...] = Field(min_length=1)
    block: str = ""

    def row_bytes(self, axes: Mapping[str, int]) -> int:
        """Bytes of one sample, uncompressed, when the dynamic axes are as long as `axes` says."""
        return sum(tensor.spec.row_bytes(axes) for tensor in self.tensors)


class Manifest(_Strict):
    """What a bundle is.  Segment k takes what cut k-1 carries and makes what cut k carries.

    Attributes:
        segments: pieces 1..K; the last one makes the network's outputs, the final exit's logits first.
        heads: pieces for exits 1..K-1, from the tensors of cut k to logits; none without `labels`.
        cuts: cuts 0..K-1.
        outputs: what segment K makes.
        axes: two sizes of each dynamic axis other than the batch that the network is proved at.
        preprocess: how an image, or a text, becomes the network's input; null when that is not known.
        labels: names of the classes; null for a network that gives no class logits.
        precisions: the pieces once more, by name: "int8", for example.
        tokeniser: the `tokenizer.json` of a text network, where the bundle holds it.
        source: where the network came from: its file's name and hash.
    """

    format: int
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    labels: tuple[str, ...] | None = Field(default=None, min_length=2)
    preprocess: AnyPreprocess | None = None
    cuts: tuple[Cut, ...] = Field(min_length=1)
    segments: tuple[Piece, ...] = Field(min_length=1)
    heads: tuple[Piece, ...]
    outputs: tuple[Spec, ...] = Field(min_length=1)
    axes: dict[str, tuple[int, int]] = Field(default_factory=dict)
    precisions: dict[str, Precision] = Field(default_factory=dict)
    tokeniser: File | None = None
    source: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _segments_chain(self) -> Manifest:
        if self.format != FORMAT:
            raise ValueError(f"bundle format {self.format} is not the {FORMAT} that this version reads")
        if len(self.cuts) != len(self.segments):
            raise ValueError(f"{len(self.segments)} segments need as many cuts, got {len(self.cuts)}")
        self._check_heads()
        for k, cut in enumerate(self.cuts):
            names = tuple(tensor.name for tensor in cut.tensors)
            if cut.index != k or self.segments[k].inputs != names:
                raise ValueError(f"segment {k + 1} takes {self.segments[k].inputs}, cut {cut.index} carries {names}")
            if k > 0 and self.segments[k - 1].outputs != names:
                raise ValueError(f"cut {k} carries {names}, segment {k} makes {self.segments[k - 1].outputs}")
        self._check_precisions()
        self._check_axes()
        return self

    def _check_heads(self) -> None:
        expected = len(self.segments) - 1 if self.labels is not None else 0
        if len(self.heads) != expected:
            raise ValueError(f"{len(self.segments)} segments need {expected} heads here, got {len(self.heads)}")
        for k, head in enumerate(self.heads, 1):
            names = {tensor.name for tensor in self.cuts[k].tensors}
            if not set(head.inputs) <= names:
                raise ValueError(f"head {k} takes {head.inputs}, cut {k} carries {tuple(sorted(names))}")

    def _check_axes(self) -> None:
        specs = [tensor for cut in self.cuts for tensor in cut.tensors] + list(self.outputs)
        named = {(dim, spec.name) for spec in specs for dim in spec.shape if isinstance(dim, str)}
        for axis, tensor in sorted(named):
            if axis not in self.axes:
                raise ValueError(f"tensor {tensor!r} has the axis {axis!r}, of which no sizes are given")

    def _check_precisions(self) -> None:
        """The same borders in every precision."""
        borders = [(piece.inputs, piece.outputs) for piece in self.pieces()]
        for name, variant in self.precisions.items():
            if [(piece.inputs, piece.outputs) for piece in (*variant.segments, *variant.heads)] != borders:
                raise ValueError(f"precision {name!r}: its pieces do not take and make what the others do")

    @property
    def exits(self) -> int:
        """K: number of segments and of exits."""
        return len(self.segments)

    @property
    def image(self) -> Preprocess | None:
        """How an image becomes the network's input, if it takes images."""
        return self.preprocess if isinstance(self.preprocess, Preprocess) else None

    @property
    def id(self) -> str:
        """SHA-256 of the content, in hex.

        What has its default value is left out: a field that a later version adds changes no id.
        """
        return sha256_of(canonical_json(self.model_dump(mode="json", exclude_defaults=True)))

    def axes_at(self, which: int = 0) -> dict[str, int]:
        """How long the dynamic axes are at the first (0) or second (1) size that the network is proved at."""
        return {name: sizes[which] for name, sizes in self.axes.items()}

    def variant(self, precision: str = "") -> Precision:
        """Segments and heads as exported, or in another precision.

        Raises:
            ConfigError: the bundle does not have it.
        """
        if not precision:
            return Precision(segments=self.segments, heads=self.heads)
        if precision not in self.precisions:
            there = f"it has {', '.join(self.precisions)}" if self.precisions else "it has none but the exported"
            near = suggestion(precision, self.precisions)
            raise ConfigError(f"precision: bundle {self.name!r} has no {precision!r}{near}; {there}")
        return self.precisions[precision]

    def pieces(self, precision: str = "") -> tuple[Piece, ...]:
        """Segments, then heads, as `variant` gives them."""
        chosen = self.variant(precision)
        return (*chosen.segments, *chosen.heads)

    def all_pieces(self) -> tuple[Piece, ...]:
        """Pieces in every precision."""
        return tuple(piece for name in ("", *self.precisions) for piece in self.pieces(name))

    def weights(self) -> tuple[File, ...]:
        """Files with weights that pieces do not hold themselves, each once."""
        return tuple(dict.fromkeys(file for piece in self.all_pieces() for file in piece.weights))
