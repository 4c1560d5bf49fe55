#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A training step of GPT-2 or LLaMA in PyTorch, for comparison with `palombe bench train`.

One full step: forward, backward, clipping of the global norm, AdamW. Prints one JSON object with
the median time (with --budgets one for each). Everything that makes PyTorch faster is on by
default: its own attention kernel, the fused optimizer, one thread per core, gradients set to none;
--compile adds torch.compile. On a card, --dtype bf16 keeps weights and gradients in bf16 with
master weights and moments in fp32, as Palombe does, unless --autocast. Needs the packages torch and
numpy (the wheel from the Python package index: the distribution's build of PyTorch has no fast BLAS
for fp32).
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

# Vocabulary, hidden, layers, heads, key-value heads, width of the MLP, tied embeddings: as
# frontends/cli/presets.c has them.
MODELS = {
    "gpt2": ("gpt2", 50257, 768, 12, 12, 12, 3072, True),
    "gpt2-medium": ("gpt2", 50257, 1024, 24, 16, 16, 4096, True),
    "gpt2-large": ("gpt2", 50257, 1280, 36, 20, 20, 5120, True),
    "gpt2-xl": ("gpt2", 50257, 1600, 48, 25, 25, 6400, True),
    "llama-1b": ("llama", 128256, 2048, 16, 32, 8, 8192, True),
    "llama-7b": ("llama", 32000, 4096, 32, 32, 32, 11008, False),
}
POSITIONS = 1024
THETA = 10000.0


class Attention(nn.Module):
    def __init__(self, hidden, heads, kv_heads, bias):
        super().__init__()
        self.heads, self.kv_heads, self.dim = heads, kv_heads, hidden // heads
        self.qkv = nn.Linear(hidden, (heads + 2 * kv_heads) * self.dim, bias=bias)
        self.out = nn.Linear(hidden, hidden, bias=bias)

    def forward(self, x, rotation):
        batch, sequence, hidden = x.shape
        sizes = [n * self.dim for n in (self.heads, self.kv_heads, self.kv_heads)]
        q, k, v = (t.view(batch, sequence, -1, self.dim).transpose(1, 2)
                   for t in self.qkv(x).split(sizes, 2))
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True,
                                                    enable_gqa=self.kv_heads != self.heads)
        return self.out(y.transpose(1, 2).reshape(batch, sequence, hidden))


def rotate(x, rotation):
    cos, sin = rotation
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class GPT2Block(nn.Module):
    def __init__(self, hidden, heads, kv_heads, ffn):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads, kv_heads, True)
        self.up, self.down = nn.Linear(hidden, ffn), nn.Linear(ffn, hidden)

    def forward(self, x, rotation):
        x = x + self.attention(self.norm1(x), rotation)
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class LlamaBlock(nn.Module):
    def __init__(self, hidden, heads, kv_heads, ffn):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(hidden), nn.RMSNorm(hidden)
        self.attention = Attention(hidden, heads, kv_heads, False)
        self.up, self.down = nn.Linear(hidden, 2 * ffn, bias=False), nn.Linear(ffn, hidden, bias=False)

    def forward(self, x, rotation):
        x = x + self.attention(self.norm1(x), rotation)
        gate, up = self.up(self.norm2(x)).chunk(2, -1)
        return x + self.down(functional.silu(gate) * up)


class Model(nn.Module):
    def __init__(self, family, vocabulary, hidden, layers, heads, kv_heads, ffn, tied, positions):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, hidden)
        self.positions = nn.Embedding(positions, hidden) if family == "gpt2" else None
        block = GPT2Block if family == "gpt2" else LlamaBlock
        self.blocks = nn.ModuleList(block(hidden, heads, kv_heads, ffn) for _ in range(layers))
        self.norm = (nn.LayerNorm if family == "gpt2" else nn.RMSNorm)(hidden)
        self.head = None if tied else nn.Linear(hidden, vocabulary, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.dim = hidden // heads

    def rotation(self, x):
        if self.positions is not None:
            return None
        half = torch.arange(self.dim // 2, device=x.device, dtype=torch.float32)
        places = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        angle = places[:, None] * THETA ** (-2.0 * half / self.dim)
        return angle.cos().to(x.dtype), angle.sin().to(x.dtype)

    def forward(self, tokens, targets):
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions.weight[: tokens.shape[1]]
        rotation = self.rotation(x)
        for block in self.blocks:
            x = block(x, rotation)
        weight = self.tokens.weight if self.head is None else self.head.weight
        logits = functional.linear(self.norm(x), weight)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


class Masters:
    """AdamW on fp32 copies of bf16 parameters, from bf16 gradients, a group of them at a time so
    that their gradients are in fp32 only there."""

    GROUP = 1 << 28  # elements

    def __init__(self, parameters):
        self.groups, group, elements = [], [], 0
        for parameter in parameters:
            group.append(parameter)
            elements += parameter.numel()
            if elements >= self.GROUP:
                self.add(group)
                group, elements = [], 0
        if group:
            self.add(group)

    def add(self, working):
        master = [p.detach().float() for p in working]
        self.groups.append((working, master, torch.optim.AdamW(master, lr=1e-4, fused=True)))

    def step(self):
        for working, master, optimizer in self.groups:
            for p, q in zip(working, master):
                q.grad, p.grad = p.grad.float(), None
            optimizer.step()
            with torch.no_grad():
                torch._foreach_copy_(working, master)
            optimizer.zero_grad(set_to_none=True)

    def zero_grad(self, set_to_none):
        for working, _, _ in self.groups:
            for parameter in working:
                parameter.grad = None


class Training:
    def __init__(self, args):
        self.args, self.device = args, torch.device(args.device)
        family, vocabulary, hidden, layers, heads, kv_heads, ffn, tied = MODELS[args.model]
        hidden, heads = args.hidden or hidden, args.heads or heads
        if args.hidden:
            ffn = round(ffn * args.hidden / MODELS[args.model][2])
            kv_heads = heads * kv_heads // MODELS[args.model][4]
        self.half = args.dtype == "bf16"
        # A card computes in bf16 with fp32 masters, a CPU by autocast, unless it is said otherwise.
        self.masters = self.half and self.device.type == "cuda" and not args.autocast and not args.pure_bf16
        with self.device:
            self.model = Model(family, args.vocabulary or vocabulary, hidden, args.layers or layers,
                               heads, kv_heads, ffn, tied, max(POSITIONS, args.sequence))
            if args.pure_bf16 or self.masters:
                self.model = self.model.to(torch.bfloat16)
            self.tokens = torch.randint(args.vocabulary or vocabulary, (args.batch, args.sequence))
        self.autocast = self.half and not args.pure_bf16 and not self.masters
        parameters = list(self.model.parameters())
        self.optimizer = (Masters(parameters) if self.masters
                          else torch.optim.AdamW(parameters, lr=1e-4, fused=True))

    def compiled(self):
        return torch.compile(self.model) if self.args.compile else self.model

    def step(self, loss_of):
        start = time.perf_counter()
        with torch.autocast(self.device.type, torch.bfloat16, self.autocast):
            loss = loss_of(self.tokens, self.tokens)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        loss.item()  # waits for the whole step
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def measure(self, more):
        args, card = self.args, self.device.type == "cuda"
        loss_of = self.compiled()
        for _ in range(2):
            self.step(loss_of)
        if card:
            torch.cuda.reset_peak_memory_stats()
        seconds = [self.step(loss_of) for _ in range(args.repeat)]
        median = statistics.median(seconds)
        print(json.dumps({"torch": torch.__version__, "model": args.model, "dtype": args.dtype,
                          "compiled": args.compile, "step_seconds": median,
                          "least_seconds": min(seconds), "most_seconds": max(seconds),
                          "tokens_per_second": args.batch * args.sequence / median,
                          "device": torch.cuda.get_device_name() if card else "cpu",
                          "peak_bytes": torch.cuda.max_memory_allocated() if card else None,
                          "threads": torch.get_num_threads(), **more}), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=MODELS, default="gpt2")
    for name, value in (("layers", 0), ("hidden", 0), ("heads", 0), ("vocabulary", 0),
                        ("batch", 4), ("sequence", 64), ("repeat", 5), ("threads", 0)):
        parser.add_argument("--" + name, type=int, default=value,
                            help="0: the model's" if value == 0 else None)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--tf32", action="store_true", help="on a card, products of f32 in TF32")
    parser.add_argument("--pure-bf16", action="store_true",
                        help="weights and states in bf16, too, instead of autocast or masters")
    parser.add_argument("--autocast", action="store_true",
                        help="on a card, too: weights in fp32, products in bf16")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--budgets",
                        help="with --compile: one run for each of these activation memory budgets "
                        "(0 to 1, separated by commas)")
    return parser.parse_args()


def main():
    args = arguments()
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.tf32
    if args.threads:
        torch.set_num_threads(args.threads)
    training = Training(args)
    if not args.budgets:
        training.measure({})
        return
    for budget in args.budgets.split(","):
        torch._dynamo.reset()
        torch._functorch.config.activation_memory_budget = float(budget)
        training.measure({"activation_memory_budget": float(budget)})


if __name__ == "__main__":
    main()
