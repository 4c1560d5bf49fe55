#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Times of PyTorch's fused attention on a card, for comparison with `bench_kernels_cuda attention`.

Prints one JSON object for each shape and each of PyTorch's ways (cuDNN's kernels, its own flash
kernels) that takes it: microseconds of the forward and of the backward pass, by the card's clock,
the median of rounds, in bf16.
"""
import json
import statistics

import torch
from torch.nn import attention, functional

# Name, batch, heads, sequence, features of a head: as in tests/bench/bench_kernels_cuda.c.
SHAPES = (("124M, T 1024", 16, 12, 1024, 64), ("7B, T 2048", 4, 32, 2048, 128),
          ("7B, T 8192", 1, 32, 8192, 128))
WAYS = {"cudnn": attention.SDPBackend.CUDNN_ATTENTION,
        "flash": attention.SDPBackend.FLASH_ATTENTION}
ROUNDS, CALLS = 7, 10


def microseconds(work):
    """The median over rounds of the time of one call."""
    rounds = []
    for _ in range(ROUNDS + 1):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        for _ in range(CALLS):
            work()
        after.record()
        after.synchronize()
        rounds.append(1e3 * before.elapsed_time(after) / CALLS)
    return statistics.median(rounds[1:])


def measure(name, way, batch, heads, sequence, features):
    q, k, v = (torch.randn(batch, heads, sequence, features, device="cuda", dtype=torch.bfloat16,
                           requires_grad=True) for _ in range(3))
    with attention.sdpa_kernel(WAYS[way]):
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        gradient = torch.randn_like(y)
        forward = microseconds(
            lambda: functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        backward = microseconds(
            lambda: torch.autograd.grad(y, (q, k, v), gradient, retain_graph=True))
    print(json.dumps({"case": name, "way": way, "torch": torch.__version__, "dtype": "bf16",
                      "forward_microseconds": forward, "backward_microseconds": backward}),
          flush=True)


def main():
    if not torch.cuda.is_available():
        raise SystemExit("pytorch_attention.py: PyTorch finds no card")
    for name, *shape in SHAPES:
        for way in WAYS:
            try:
                measure(name, way, *shape)
            except RuntimeError as error:
                print(json.dumps({"case": name, "way": way, "error": str(error).split("\n")[0]}),
                      flush=True)


if __name__ == "__main__":
    main()
