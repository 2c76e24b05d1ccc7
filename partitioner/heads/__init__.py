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
