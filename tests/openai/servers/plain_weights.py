"""Writes GGUF weights as the directory that other servers load.

    python plain_weights.py WEIGHTS.gguf DIRECTORY

Runs in an environment of its own, with torch, transformers and gguf.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    import torch  # type: ignore[import-not-found,unused-ignore]
    from transformers import (  # type: ignore[import-not-found,unused-ignore]
        AutoModelForCausalLM,
        AutoTokenizer,
        LlamaForCausalLM,
    )

    source, target = Path(sys.argv[1]), sys.argv[2]
    named = {"gguf_file": source.name}
    read = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **named)
    config = read.config
    config.architectures = ["LlamaForCausalLM"]
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = LlamaForCausalLM(config).to(torch.bfloat16)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(target)
    AutoTokenizer.from_pretrained(source.parent, **named).save_pretrained(target)


if __name__ == "__main__":
    main()
