"""Exit heads that can be attached to a cut: how each makes one vector per sample of the hidden state."""

from __future__ import annotations

from split_core.registry import Registry

# In the order in which they are tried where nobody says which.
HEADS = Registry(
    "head",
    {
        "vision": "partitioner.heads.vision:VisionHead",
        "text": "partitioner.heads.text:TextHead",
        "sequence": "partitioner.heads.sequence:SequenceHead",
        "vector": "partitioner.heads.vector:VectorHead",
    },
)

# What `offramp train` can put behind a cut: pooling, and the layers behind it.
TRAINABLE = Registry(
    "trainable head",
    {
        "linear": "partitioner.heads.linear:LinearHead torch",
        "mlp": "partitioner.heads.mlp:MlpHead torch",
        "max_average": "partitioner.heads.max_average:MaxAverageHead torch",
        "conv": "partitioner.heads.conv:ConvHead torch",
        "text_pooler": "partitioner.heads.text_pooler:TextPoolerHead torch",
        "etf": "partitioner.heads.etf:EtfHead torch",
    },
)
