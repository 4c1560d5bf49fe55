#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Does transformers load what Palombe saved, and compute the same? By hand:

    palombe logits DIR --tokens 1,2,3 --out LOGITS
    python3 check_in_transformers.py DIR [LOGITS]

Loads the configuration, the weights (none may be missing, unexpected or of another shape) and the
tokenizer of DIR. With LOGITS, a safetensors file with "tokens" [T] and "logits" [T, V], compares its
logits with those that transformers computes in fp32. Ends with 0 when all is well, else with 1.
"""

import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4
SAMPLE = "It's 12 o'clock,  naïve pigeons 🕊️ fly\n\tover the hills."


def check_tokenizer(directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokens = tokenizer.encode(SAMPLE, add_special_tokens=False)
    text = tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
    print(f"tokenizer: {len(tokenizer)} tokens, end of text {tokenizer.eos_token!r}, "
          f"sample has {len(tokens)}")
    return text == SAMPLE


def check_logits(model, path):
    saved = load_file(path)
    tokens = saved["tokens"].reshape(1, -1).long()
    with torch.no_grad():
        expected = model.float()(input_ids=tokens).logits[0]
    difference = (saved["logits"].float().reshape(expected.shape) - expected).abs().max().item()
    print(f"logits: {tuple(expected.shape)}, largest difference {difference:.3g}")
    return difference <= TOLERANCE


def main():
    directory = sys.argv[1]
    model, report = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    faults = {key: value for key, value in report.items() if value}
    print(f"model: {type(model).__name__}, {model.num_parameters()} parameters, faults: {faults}")
    good = not faults and check_tokenizer(directory)
    if len(sys.argv) > 2:
        good = check_logits(model.eval(), sys.argv[2]) and good
    print("all is well" if good else "NOT the same")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
