#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes the golden directories beside this file: python3 make_golden.py [DIRECTORY]

They are what the tests compare with. Each model directory is one that transformers saved, plus
expected.safetensors: "tokens" [B, T], "logits" [B, T, V] and "loss" [1] (the mean over all next tokens),
computed by transformers in fp32 on the CPU. Each tokenizer directory holds tokenizer.json, saved by
tokenizers, and cases.json: texts with the tokens that tokenizers gives for them, with and without the
template. Weights are random and larger than fresh ones, so that the logits are far from uniform.

Needs torch, transformers (5), tokenizers and safetensors. The same versions give the same files.
"""

import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM,
                          PreTrainedTokenizerFast)

from golden_text import CASES, CORPUS

VOCAB = 384
LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
                  r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def gpt2_tokenizer(vocab):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    train(tokenizer, vocab, ["<|endoftext|>"])
    return tokenizer


def llama3_tokenizer(vocab):
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, vocab, ["<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>"])
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A",
                                      special_tokens=[("<|begin_of_text|>", begin)])])
    return tokenizer


def train(tokenizer, vocab, special):
    # Special tokens first, so that token numbers and bytes do not agree by chance.
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([CORPUS], trainer)


def string_merges(path):
    """Writes merges as "a b" instead of ["a", "b"], as files before tokenizers 0.20 have them."""
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)


def save_tokenizer_cases(directory, tokenizer, old_merges):
    os.makedirs(directory)
    tokenizer.add_special_tokens(["<|pad|>"])
    path = os.path.join(directory, "tokenizer.json")
    tokenizer.save(path, pretty=False)
    if old_merges:
        string_merges(path)
    cases = [{"text": text,
              "tokens": tokenizer.encode(text, add_special_tokens=False).ids,
              "with_template": tokenizer.encode(text).ids} for text in CASES]
    with open(os.path.join(directory, "cases.json"), "w", encoding="utf-8") as file:
        json.dump({"cases": cases}, file, ensure_ascii=True, separators=(",", ":"))


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        center = 1.0 if name.endswith("weight") and ("norm" in name or "ln_" in name) else 0.0
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = (center + 0.15 * noise).to(parameter.dtype)


def save_model(directory, model, tokenizer, seed, shard_size="1GB"):
    model.eval()
    model.save_pretrained(directory, max_shard_size=shard_size)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|endoftext|>",
                            eos_token="<|endoftext|>").save_pretrained(directory)
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, VOCAB, (2, 12), generator=generator)
    # Loaded anew: in a model that was turned to bfloat16 the rotary frequencies are rounded too.
    exact = type(model).from_pretrained(directory, dtype=torch.float32).eval()
    with torch.no_grad():
        result = exact(input_ids=tokens, labels=tokens)
    save_file({"tokens": tokens, "logits": result.logits.contiguous(),
               "loss": result.loss.reshape(1)}, os.path.join(directory, "expected.safetensors"))


def gpt2(hidden):
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_positions=32, n_embd=hidden, n_layer=2,
                                      n_head=4, bos_token_id=0, eos_token_id=0))


def llama(**options):
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, bos_token_id=0,
        eos_token_id=2, **options))


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    gpt2_words, llama_words = gpt2_tokenizer(VOCAB), llama3_tokenizer(VOCAB)
    scaling = {"rope_type": "llama3", "rope_theta": 50000.0, "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    linear = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
    made = [
        ("gpt2", gpt2(32), gpt2_words, "1GB"),
        ("gpt2_sharded", gpt2(16), gpt2_words, "20KB"),
        ("llama_tied", llama(tie_word_embeddings=True), llama_words, "1GB"),
        ("llama_untied", llama(attention_bias=True, mlp_bias=True, rope_parameters=linear),
         llama_words, "1GB"),
        ("llama_bf16", llama(head_dim=16, rope_parameters=scaling).to(torch.bfloat16), llama_words,
         "1GB"),
    ]
    for seed, (name, model, words, shard_size) in enumerate(made):
        directory = os.path.join(root, name)
        shutil.rmtree(directory, ignore_errors=True)
        randomize(model, seed + 1)
        if model.config.tie_word_embeddings:
            model.tie_weights()
        save_model(directory, model, words, seed + 100, shard_size)
    for name, tokenizer, old in (("tokenizer_gpt2", gpt2_tokenizer(800), True),
                                 ("tokenizer_llama3", llama3_tokenizer(800), False)):
        directory = os.path.join(root, name)
        shutil.rmtree(directory, ignore_errors=True)
        save_tokenizer_cases(directory, tokenizer, old)


if __name__ == "__main__":
    main()
