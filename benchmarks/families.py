"""Networks of every kind that people have, with random weights: no download, no torchvision.

The factories are addressed as a user would: `benchmarks.families:mobilenet_v2`, with `size=tiny` for tests (seconds)
and `size=full` for measurements (the published architecture).  Needs the extra `families`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from benchmarks import modules

CLASSES = 10
CALIBRATION_PASSES = 3


@dataclass(frozen=True)
class Family:
    """One kind of network.

    Attributes:
        factory: name of the function in this file.
        tokens: whether it takes token ids, with a dynamic sequence.
        outputs: names of what the exported network gives.
    """

    factory: str
    tokens: bool = False
    outputs: tuple[str, ...] = ("logits",)
    args: dict[str, str] = field(default_factory=dict)

    @property
    def location(self) -> str:
        """What `offramp partition` is given."""
        return f"benchmarks.families:{self.factory}"


def calibrated(network: nn.Module, example: Tensor) -> nn.Module:
    """Give every BatchNorm the statistics of noise, so that activations of random weights neither grow nor vanish.

    Convolutions are drawn anew: at the 0.02 of `transformers`, what an EfficientNet gives is all rounding.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    network.train()
    with torch.no_grad():
        for _ in range(CALIBRATION_PASSES):
            network(torch.randn_like(example))
    return network.eval()


def _vision(architecture: str, size: str, tiny: dict[str, Any], **shared: Any) -> nn.Module:
    """A `transformers` image classifier or segmenter: its published configuration, or a tiny one."""
    small = size == "tiny"
    labels = CLASSES if small else 1000
    kind = architecture if "For" in architecture else f"{architecture}ForImageClassification"
    config_class = getattr(transformers, f"{kind.partition('For')[0]}Config")
    config = config_class(num_labels=labels, **shared, **(tiny if small else {}))
    side = config.image_size if isinstance(getattr(config, "image_size", None), int) else 224
    config.image_size = side
    return calibrated(getattr(transformers, kind)(config), torch.zeros(4, 3, side, side))


def _text(kind: str, size: str, tiny: dict[str, Any], **shared: Any) -> nn.Module:
    config_class = getattr(transformers, f"{kind.partition('For')[0].removesuffix('LMHeadModel')}Config")
    config = config_class(**shared, **(tiny if size == "tiny" else {}))
    network: nn.Module = getattr(transformers, kind)(config)
    return network.eval()


def mobilenet_v2(size: str = "full") -> nn.Module:
    return _vision("MobileNetV2", size, {"image_size": 64, "depth_multiplier": 0.35})


def resnet(size: str = "full") -> nn.Module:
    tiny = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 2, 2, 1], "layer_type": "basic"}
    return _vision("ResNet", size, {**tiny, "image_size": 64})


def regnet(size: str = "full") -> nn.Module:
    tiny = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "groups_width": 4}
    return _vision("RegNet", size, {**tiny, "image_size": 64})


def efficientnet(size: str = "full") -> nn.Module:
    tiny = {"image_size": 64, "width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320}
    full = {"image_size": 224, "width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280}  # B0
    return _vision("EfficientNet", "tiny", tiny if size == "tiny" else full)


def convnext(size: str = "full") -> nn.Module:
    return _vision("ConvNext", size, {"image_size": 64, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 2, 1]})


VIT = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
VIT["intermediate_size"] = 64


def vit(size: str = "full") -> nn.Module:
    return _vision("ViT", size, VIT)


def deit(size: str = "full") -> nn.Module:
    return _vision("DeiT", size, VIT)


def swin(size: str = "full") -> nn.Module:
    tiny = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}
    return _vision("Swin", size, tiny)


def mobilevit(size: str = "full") -> nn.Module:
    tiny = {"image_size": 64, "hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 12, 16, 16, 24, 32]}
    return _vision("MobileViT", size, {**tiny, "num_attention_heads": 2})


def segformer(size: str = "full") -> nn.Module:
    """Segmentation: one map of classes, no labels of the image."""
    tiny = {"image_size": 64, "hidden_sizes": [8, 16, 16, 24], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16}
    return _vision("SegformerForSemanticSegmentation", size, {**tiny, "num_attention_heads": [1, 2, 2, 2]})


BERT = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
BERT |= {"intermediate_size": 64, "max_position_embeddings": 64}


def bert(size: str = "full") -> nn.Module:
    return _text("BertForSequenceClassification", size, BERT, num_labels=4)


def roberta(size: str = "full") -> nn.Module:
    return _text("RobertaForSequenceClassification", size, BERT, num_labels=4)


ALBERT_BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}


def albert(size: str = "full") -> nn.Module:
    """ALBERT-base; the configuration's own default is xxlarge, which onnxruntime packs into more than 24 GB."""
    sizes = {**BERT, "embedding_size": 16} if size == "tiny" else ALBERT_BASE
    return _text("AlbertForSequenceClassification", "tiny", sizes, num_labels=4)


def distilbert(size: str = "full") -> nn.Module:
    tiny = {"vocab_size": 100, "dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64}
    return _text("DistilBertForSequenceClassification", size, tiny, num_labels=4)


GPT2 = {"vocab_size": 100, "n_positions": 64, "n_embd": 32, "n_layer": 3, "n_head": 2}


def gpt2(size: str = "full") -> nn.Module:
    """A decoder with its language model's head."""
    return _text("GPT2LMHeadModel", size, {**GPT2, "bos_token_id": 0, "eos_token_id": 0})


def gpt2_classifier(size: str = "full") -> nn.Module:
    """A decoder that classifies at the last token."""
    return _text("GPT2ForSequenceClassification", size, {**GPT2, "bos_token_id": 0, "eos_token_id": 0}, **_padded())


def llama(size: str = "full") -> nn.Module:
    """Rotary positions, grouped queries, gated layers; the full size has 110 million parameters."""
    full = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 4}
    full |= {"intermediate_size": 2048, "max_position_embeddings": 1024}
    tiny = {**BERT, "num_key_value_heads": 1}
    return _text("LlamaForCausalLM", "tiny", tiny if size == "tiny" else full)


def mixtral(size: str = "full") -> nn.Module:
    """A decoder with a mixture of experts; the full size has four of them in four layers."""
    full = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
    full |= {"intermediate_size": 512, "max_position_embeddings": 1024, "num_local_experts": 4}
    tiny = {**BERT, "num_key_value_heads": 1, "num_local_experts": 2}
    return _text("MixtralForCausalLM", "tiny", tiny if size == "tiny" else full)


def t5_encoder(size: str = "full") -> nn.Module:
    tiny = {"vocab_size": 100, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 3, "num_heads": 2}
    config = transformers.T5Config(**(tiny if size == "tiny" else {}))
    return transformers.T5EncoderModel(config).eval()


def _padded() -> dict[str, Any]:
    return {"num_labels": 4, "pad_token_id": 99}


def densenet(size: str = "full") -> nn.Module:
    network = modules.DenseNet(CLASSES, layers=(2, 3), growth=4) if size == "tiny" else modules.DenseNet(1000)
    return _image(network, size)


def inception(size: str = "full") -> nn.Module:
    network = modules.Inception(CLASSES, width=4, blocks=2) if size == "tiny" else modules.Inception(1000)
    return _image(network, size)


def unet(size: str = "full") -> nn.Module:
    network = modules.UNet(2, width=4, depth=2) if size == "tiny" else modules.UNet(2)
    return _image(network, size)


def branchynet(size: str = "full") -> nn.Module:
    network = modules.BranchyNet(CLASSES, width=8) if size == "tiny" else modules.BranchyNet(1000, width=64)
    return _image(network, size)


def two_inputs(size: str = "full") -> tuple[nn.Module, dict[str, Tensor]]:
    """An image and a vector of measurements; gives its examples with it, as a factory may."""
    width, side = (8, 32) if size == "tiny" else (64, 224)
    examples = {"image": torch.randn(2, 3, side, side), "measurements": torch.randn(2, 6)}
    return modules.TwoInputs(CLASSES, width).eval(), examples


def _image(network: nn.Module, size: str) -> Any:
    example = torch.randn(4, 3, *((32, 32) if size == "tiny" else (224, 224)))
    return calibrated(network, example), example


_EXITS = ("exit_1", "exit_2", "exit_3", "exit_4")
_IMAGES: tuple[Callable[..., Any], ...] = (
    *(mobilenet_v2, resnet, regnet, efficientnet, convnext, vit, deit, swin, mobilevit, densenet, inception),
    two_inputs,
)
_TEXTS: tuple[Callable[..., Any], ...] = (bert, roberta, albert, distilbert, gpt2_classifier)
FAMILIES = {
    **{made.__name__: Family(made.__name__) for made in _IMAGES},
    **{made.__name__: Family(made.__name__, tokens=True) for made in _TEXTS},
    "segformer": Family("segformer", outputs=("output",)),
    "unet": Family("unet", outputs=("output",)),
    "branchynet": Family("branchynet", outputs=_EXITS),
    "gpt2": Family("gpt2", tokens=True, outputs=("output",)),
    "llama": Family("llama", tokens=True, outputs=("output",)),
    "mixtral": Family("mixtral", tokens=True, outputs=("output",)),
    "t5_encoder": Family("t5_encoder", tokens=True, outputs=("output",)),
}
