"""A tiny text network: a word-level tokeniser, an ONNX file with two inputs, and a bundle of both."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

from partitioner.build import Wish, partition
from partitioner.manifest import Identity
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core.tokeniser import Tokeniser

GOOD, BAD, OTHER = ("fine", "lovely", "warm"), ("dull", "weak", "grim"), ("a", "film", "and", "story", "the", "with")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *GOOD, *BAD, *OTHER)
MAX_LENGTH = 12
WIDTH = 6
GRAPH = """
<ir_version: 10, opset_import: ["": 18]>
text (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask) => (OUTPUTS)
<float[16, 6] words, float[6, 6] mix, float[6, 6] mix_again, float[6, 2] head, int64[1] last, int64[1] middle>
{
    embedded = Gather(words, input_ids)
    mixed = MatMul(embedded, mix)
    active = Tanh(mixed)
    mixed_again = MatMul(active, mix_again)
    active_again = Tanh(mixed_again)
    kept = Cast<to = 1>(attention_mask)
    weights = Unsqueeze(kept, last)
    weighted = Mul(active_again, weights)
    summed = ReduceSum<keepdims = 0>(weighted, middle)
    EXITS
    LOGITS = MatMul(summed, head)
}
"""
# With its own way from the mask: an exit that needs something of the trunk hangs on no cut.
EXIT = """
    kept_K = Cast<to = 1>(attention_mask)
    weights_K = Unsqueeze(kept_K, last)
    weighted_K = Mul(STATE, weights_K)
    summed_K = ReduceSum<keepdims = 0>(weighted_K, middle)
    exit_K = MatMul(summed_K, head)
"""
EXITS = "".join(
    EXIT.replace("_K", f"_{k}").replace("STATE", state) for k, state in ((1, "active"), (2, "active_again"))
)


def tokenizer_json() -> bytes:
    """A word-level tokeniser with `[CLS]` and `[SEP]`; its own truncation and padding are to be ignored."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    made = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.enable_truncation(5)
    made.enable_padding(length=9)
    return made.to_str().encode()


def graph(*, exits: bool) -> str:
    """The network, with or without exits of its own."""
    final = "exit_3" if exits else "logits"
    outputs = [f"float[batch, 2] {name}" for name in (("exit_1", "exit_2", final) if exits else (final,))]
    made = GRAPH.replace("OUTPUTS", ", ".join(outputs)).replace("EXITS", EXITS if exits else "")
    return made.replace("LOGITS", final)


def network(folder: Path, *, exits: bool = False) -> Path:
    """Good words push one logit up, bad ones the other."""
    rng = np.random.default_rng(0)
    words = rng.normal(0, 0.05, (len(WORDS), WIDTH)).astype(np.float32)
    words[[WORDS.index(word) for word in GOOD], 0] = 1.0
    words[[WORDS.index(word) for word in BAD], 0] = -1.0
    mix = np.eye(WIDTH, dtype=np.float32) + rng.normal(0, 0.02, (2, WIDTH, WIDTH)).astype(np.float32)
    head = np.zeros((WIDTH, 2), np.float32)
    head[0] = [-3.0, 3.0]
    values = {"words": words, "mix": mix[0], "mix_again": mix[1], "head": head, "last": [2], "middle": [1]}
    model = parser.parse_model(graph(exits=exits))
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())
    path = folder / "text.onnx"
    onnx.save(model, path)
    return path


def text_bundle(folder: Path, *, exits: bool = False) -> Path:
    """Two cuts, the hidden state and the mask cross each; the tokeniser is in the bundle."""
    content = tokenizer_json()
    (folder / "tokenizer.json").write_bytes(content)
    said = Tokeniser(tokeniser="tokenizer.json", max_length=MAX_LENGTH).sealed(folder / "tokenizer.json")
    identity = Identity(name="reviews", labels=("negative", "positive"), preprocess=said, tokeniser=content)
    return partition(
        read_network(str(network(folder, exits=exits))),
        folder / "bundles",
        identity=identity,
        wish=Wish(cuts="active,active_again"),
        trial=Trial(),
        clock=time.time,
    )


def lines(count: int, seed: int = 0) -> list[tuple[str, int]]:
    """Texts of 3 to 9 words with one to three that tell the class."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        label = int(rng.integers(2))
        telling = rng.choice(GOOD if label else BAD, rng.integers(1, 4)).tolist()
        words = telling + rng.choice(OTHER, rng.integers(2, 7)).tolist()
        made.append((" ".join(rng.permutation(words)), label))
    return made


def write_tsv(path: Path, pairs: list[tuple[str, int]], header: str = "") -> Path:
    path.write_text(header + "".join(f"{text}\t{label}\n" for text, label in pairs), encoding="utf-8")
    return path
