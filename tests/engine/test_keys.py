"""How many bits a key of the attention has, and what that makes of a state's size."""

from __future__ import annotations

import pytest

from multiturn.engine import Sampling
from multiturn.engine.llama import LlamaEngine
from multiturn.engine.memory import has_eight_bit_keys, state_bytes_per_token
from multiturn.weights.gguf import Header, Scalar

SMALL: dict[str, Scalar] = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.embedding_length": 256,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
}


def header(**attention: Scalar) -> Header:
    entries = {f"llama.attention.{name}": value for name, value in attention.items()}
    return Header(3, 1, {**SMALL, **entries}, 0)


def test_keys_in_whole_blocks_have_eight_bits_and_their_scales() -> None:
    assert has_eight_bit_keys(header())
    assert 2 * 2 * (64 + 2 * 2 + 2 * 64) == state_bytes_per_token(header())


@pytest.mark.parametrize(
    "model",
    [
        header(key_length=80),
        header(key_length=64, key_length_swa=48),
        header(key_length=64, kv_lora_rank=512),
        Header(3, 1, {"general.architecture": "mamba"}, 0),
    ],
)
def test_other_keys_have_sixteen_bits(model: Header) -> None:
    assert not has_eight_bit_keys(model)


def test_the_size_told_is_that_of_the_real_state(fresh_engine: LlamaEngine) -> None:
    last = list(fresh_engine.stream([("user", "word " * 400)], Sampling(max_tokens=1)))[-1]
    state = fresh_engine._use().server.state_file()
    try:
        size_bytes = state.save(_slot_of(fresh_engine))
    finally:
        state.close()
    told_bytes = state_bytes_per_token(fresh_engine._header) * last.prompt_tokens
    # Beside keys and values it holds the token ids and the places of the cells.
    assert told_bytes <= size_bytes <= 1.01 * told_bytes


def _slot_of(engine: LlamaEngine) -> int:
    return max(engine._use().slots._slots, key=lambda slot: len(slot.tokens)).number
