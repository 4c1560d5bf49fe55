#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A GPT-2 training step in PyTorch, for comparison with `palombe bench train`.

One full step: forward, backward, clipping of the global norm, AdamW. Prints one JSON object with
the median time. Everything that makes PyTorch faster here is on by default: its own attention
kernel, the fused optimizer, one thread per core, gradients set to none; --compile adds
torch.compile. Needs the packages torch and numpy (the wheel from the Python package index: the
distribution's build of PyTorch has no fast BLAS for fp32).
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x):
        batch, sequence, hidden = x.shape
        shape = (batch, sequence, self.heads, hidden // self.heads)
        q, k, v = (t.view(shape).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, 2))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, sequence, hidden))
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Model(nn.Module):
    def __init__(self, vocabulary, positions, hidden, layers, heads):
        super().__init__()
        self.tokens, self.positions = (nn.Embedding(n, hidden) for n in (vocabulary, positions))
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        nn.init.normal_(self.tokens.weight, std=0.02)

    def forward(self, tokens, targets):
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.norm(x), self.tokens.weight)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, value in (("layers", 12), ("hidden", 768), ("heads", 12), ("vocabulary", 50257),
                        ("positions", 1024), ("batch", 4), ("sequence", 64), ("repeat", 5),
                        ("threads", 0)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--pure-bf16", action="store_true",
                        help="weights and states in bf16, too, instead of autocast")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()

    torch.manual_seed(1)
    if args.threads:
        torch.set_num_threads(args.threads)
    model = Model(args.vocabulary, args.positions, args.hidden, args.layers, args.heads)
    if args.pure_bf16:
        model = model.to(torch.bfloat16)
    loss_of = torch.compile(model) if args.compile else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(args.vocabulary, (args.batch, args.sequence))

    def step():
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, args.dtype == "bf16" and not args.pure_bf16):
            loss = loss_of(tokens, tokens)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        return time.perf_counter() - start

    for _ in range(2):
        step()
    seconds = [step() for _ in range(args.repeat)]
    median = statistics.median(seconds)
    print(json.dumps({"torch": torch.__version__, "step_seconds": median,
                      "least_seconds": min(seconds), "most_seconds": max(seconds),
                      "tokens_per_second": args.batch * args.sequence / median,
                      "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
