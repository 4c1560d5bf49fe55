#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the first inputs of each fuzz target: python3 make_seeds.py DIRECTORY

Small good files and small lies; the fuzzer mixes them. Needs nothing but Python.
"""

import json
import os
import struct
import sys


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_seeds():
    widths = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4,
              "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8}
    data = bytes(range(1, 65))
    for dtype, width in widths.items():
        yield safetensors({"t": tensor(dtype, [3], 0, 3 * width)}, data[:3 * width])
    yield safetensors({})
    yield safetensors({"__metadata__": {"format": "pt"}, "s": tensor("F32", [], 0, 4)}, data[:4])
    yield safetensors({"a": tensor("F32", [2, 0], 4, 4), "b": tensor("F16", [2, 1], 0, 4)}, data[:4])
    yield safetensors({"u": tensor("U8", [1], 0, 1), "v": tensor("F64", [1], 1, 9)}, data[:9])
    yield safetensors({"a": tensor("I8", [3], 0, 3), "b": tensor("I8", [2], 2, 4)}, data[:4])
    yield safetensors({"a": tensor("F32", [2**32, 2**32], 0, 4)}, data[:4])
    yield safetensors({"a": tensor("F32", [1], 4, 2**62)}, data[:4])
    yield safetensors({"a": tensor("F8_E4M3", [1], 0, 1)}, data[:1])
    yield safetensors({"a": tensor("F32", [-1], 0, -4)}, data[:4])
    yield safetensors(b'{"a":1,"a":2}')
    yield safetensors(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}")
    yield safetensors(b"{}", length=2**64 - 1)
    yield safetensors(b"{}", length=3)
    yield b"1234567"


def index_seeds():
    good = {"a": "one", "b": "two"}
    for weights in (good, {"a": "one"}, {"a": "two"}, {"a": "one", "b": "one"}, {"a": "../one"},
                    {"a": "/etc/passwd"}, {"a": "x.index.json"}, {"a": 1}, {}, []):
        yield json.dumps({"metadata": {"total_size": 2}, "weight_map": weights}).encode()
    yield b"{}"
    yield b'{"weight_map":{"a":"one","a":"two"}}'


def config_seeds():
    llama = {"model_type": "llama", "vocab_size": 100, "hidden_size": 32, "intermediate_size": 64,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "head_dim": 16, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
             "hidden_act": "silu", "attention_bias": True, "mlp_bias": False,
             "attention_dropout": 0.1, "tie_word_embeddings": True, "dtype": "bfloat16",
             "bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": None}
    gpt2 = {"model_type": "gpt2", "vocab_size": 100, "n_positions": 64, "n_embd": 32, "n_layer": 2,
            "n_head": 4, "n_inner": None, "activation_function": "gelu_new", "resid_pdrop": 0.1,
            "embd_pdrop": 0.0, "attn_pdrop": 0.5, "layer_norm_epsilon": 1e-5,
            "initializer_range": 0.02, "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False, "reorder_and_upcast_attn": False,
            "add_cross_attention": False, "torch_dtype": "float32", "eos_token_id": 7}
    scaled = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    for config in (llama, gpt2, {**llama, "rope_parameters": scaled},
                   {**llama, "rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2}},
                   {"model_type": "gpt2"}, {"model_type": "mamba"}, {}, {**gpt2, "n_head": 5},
                   {**gpt2, "n_layer": -1}, {**llama, "quantization_config": {"bits": 4}}):
        yield json.dumps(config, separators=(",", ":")).encode()
    yield b'{"model_type":"gpt2","n_layer":1e999}'
    yield b'{"model_type":"gpt2","n_layer":NaN}'
    yield b'{"a":' * 40 + b"1" + b"}" * 40


def tokenizer_seeds():
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    plain = {**level, "use_regex": False}
    split = {"type": "Split", "behavior": "Isolated", "invert": False, "pattern": {
        "Regex": r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s*[\r\n]+|\s+(?!\S)|\s+"}}
    vocab = {"a": 0, "b": 1, "\u0120": 2, "ab": 3, "\u0120a": 4, "aba": 5, "<u>": 6}
    model = {"type": "BPE", "vocab": vocab, "merges": [["a", "b"], "\u0120 a", ["ab", "a"]]}
    added = [{"id": 7, "content": "<x>", "special": True, "lstrip": True, "rstrip": True},
             {"id": 8, "content": "<xy>", "special": False}]
    template = {"type": "TemplateProcessing", "single": [
        {"SpecialToken": {"id": "<x>"}}, {"Sequence": {"id": "A"}}],
        "special_tokens": {"<x>": {"id": "<x>", "ids": [7], "tokens": ["<x>"]}}}
    text = "\0ab aba  <x> b<xy>\n\u00e9 12".encode()
    files = [
        {"model": model, "pre_tokenizer": level},
        {"model": model, "pre_tokenizer": level, "added_tokens": added, "post_processor": template,
         "decoder": level, "normalizer": None},
        {"model": {**model, "ignore_merges": True, "unk_token": "<u>", "fuse_unk": True},
         "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, plain]}},
        {"model": model, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {**split, "behavior": "Removed", "invert": True}, {**plain, "add_prefix_space": True}]}},
        {"model": model, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {**split, "behavior": "Removed", "pattern": {"String": "b"}}, level]}},
        {"model": {**model, "merges": ["a c"]}, "pre_tokenizer": level},
        {"model": {**model, "vocab": {"a": 0, "b": 0}}, "pre_tokenizer": level},
    ]
    for file in files:
        yield json.dumps(file, separators=(",", ":")).encode() + text
    yield "It's the same book, they've kept it since 1887:  naïve café 🕊️ 秋\n\n\tx".encode()
    yield b"<|endoftext|> a<|endoftext|><|endo"
    yield b"\xff\xfe\xe2\x82 \xf0\x9f\x95\x8a\xed\xa0\x80"
    yield b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


def costs_seeds():
    link = {"out_bytes_per_second": 5e10, "in_bytes_per_second": 4e10, "latency_seconds": 1e-5,
            "duplex": True}
    platform = {"name": "p", "workers": 1, "memory": {"device": 10, "host": "unlimited", "disk": 0},
                "flops_per_second": {"f32": 1e12, "bf16": 2e12}, "bytes_per_second": 1e9,
                "task_seconds": 0, "links": {"host": link}}
    file = {"format": "palombe costs", "version": 1, "platform": platform}
    task = {"operator": "add", "footprint": 1, "seconds": [1e-3, 2]}
    transfer = {"tier": "host", "out": True, "bytes": 9, "seconds": 1e-3}
    for costs in (file, {**file, "tasks": [task, {**task, "footprint": 4294967295}]},
                  {**file, "transfers": [transfer] * 3 + [{**transfer, "bytes": 2**62}] * 3},
                  {**file, "transfers": [{**transfer, "seconds": 1e-300, "bytes": 2**62}]},
                  {**file, "note": "n", "tasks": [{**task, "seconds": []}]},
                  {**file, "tasks": [{**task, "seconds": [0]}]},
                  {**file, "tasks": [task] * 3, "transfers": []},
                  {**file, "platform": {**platform, "memory": {"device": "unlimited", "disk": 5}}},
                  {**file, "platform": {**platform, "workers": 0}}, {**file, "version": 2}, {}):
        yield json.dumps(costs, separators=(",", ":")).encode()


def platform_seeds():
    core = {"name": "core", "workers": 1, "memory": {"device": "unlimited"},
            "flops_per_second": {"f32": 1e9}, "bytes_per_second": 1e9, "task_seconds": 0}
    wire = {"bytes_per_second": 1e9, "latency_seconds": 1e-3}
    node = {"name": "n", "devices": [{"kind": "core", "count": 2}], "link": wire}
    file = {"format": "palombe platform", "version": 1, "kinds": [core], "nodes": [node]}
    far = [{**node, "site": "a"}, {**node, "name": "m", "site": "b", "network": wire}]
    for platform in (file, {**file, "note": "n", "kinds": [core, {**core, "name": "c"}]},
                     {**file, "nodes": [{**node, "count": 3, "network": wire}]},
                     {**file, "nodes": [{**node, "count": 3, "network": {**wire, "shared": False}}]},
                     {**file, "nodes": far, "links": [{**wire, "sites": ["a", "b"]}]},
                     {**file, "nodes": far, "links": [wire]}, {**file, "nodes": far},
                     {**file, "nodes": [{**node, "count": 65536}]},
                     {**file, "nodes": [{**node, "link": None}]},
                     {**file, "nodes": [node, node]}, {**file, "kinds": [core, core]},
                     {**file, "kinds": [{"name": "core", "costs": "h200"}]},
                     {**file, "kinds": [{**core, "bytes_per_second": -1}]}, {**file, "version": 2},
                     {**file, "nodes": [{**node, "devices": [{"kind": "card"}]}]}, {}):
        yield json.dumps(platform, separators=(",", ":")).encode()


def plan_seeds():
    head = {"format": "palombe plan 1", "policy": "p", "graph": "0123456789abcdef"}
    kept = [["run", 0], ["run", 1], ["run", 2], ["run", 3, 1], ["drop", 4, "device"],
            ["run", 4, 1], ["drop", 3, "device"]]
    moved = [["run", 0], ["offload", 2, "host"], ["run", 1], ["drop", 2, "device"], ["run", 2],
             ["offload", 3, "disk"], ["drop", 3, "device"], ["fetch", 2, "host"],
             ["drop", 2, "host"], ["run", 3], ["drop", 2, "device"], ["drop", 4, "device"],
             ["fetch", 3, "disk"], ["drop", 3, "disk"], ["run", 4, 1], ["drop", 3, "device"]]
    again = [["run", 0], ["run", 1], ["run", 2], ["drop", 3, "device"], ["run", 3],
             ["drop", 4, "device"], ["run", 1], ["drop", 2, "device"], ["run", 4, 1],
             ["drop", 3, "device"]]
    for program in (kept, moved, again, [], kept[1:], kept[:-1], moved[:4] + moved[3:],
                    [["run", 4, 1], ["run", 4, 1]], [["drop", 0, "device"]], [["run", 0, 1]],
                    [["run", 4294967295, 4294967295]], [["fetch", 4294967295, "disk"]],
                    [["offload", 0, "device"]], [["run", 2, 3], ["run"]]):
        yield json.dumps({**head, "instructions": program}, separators=(",", ":")).encode()
    yield json.dumps({**head, "graph": "0"}).encode()
    yield json.dumps({**head, "policy": "p" * 64, "instructions": []}).encode()


def main():
    for name, seeds in (("costs", costs_seeds()), ("plan", plan_seeds()),
                        ("platform", platform_seeds()),
                        ("safetensors", safetensors_seeds()), ("safetensors_index", index_seeds()),
                        ("json_config", config_seeds()), ("tokenizer", tokenizer_seeds())):
        folder = os.path.join(sys.argv[1], name)
        os.makedirs(folder, exist_ok=True)
        for number, seed in enumerate(seeds):
            with open(os.path.join(folder, f"seed-{number:02}"), "wb") as file:
                file.write(seed)


if __name__ == "__main__":
    main()
