/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of the program: its commands and its options.
 */
#include "config.h"

#include "frontends/cli/cli.h"

static const struct plb_option options[] = {
#define OPTION(id, flag, environment, type, argument, initial, low, high, choices, commands, help) \
    {flag, environment, PLB_OPTION_##type, argument, initial, low, high, choices, commands, help},
#include "frontends/cli/options.def"
#undef OPTION
};

static const struct plb_command commands[] = {
    {"train", "CORPUS...", 1, PLB_ARGUMENTS_MAX,
     "train a language model on text files or directories of them",
     "train --out model --minutes 2 /usr/share/common-licenses"},
    {"generate", "DIR", 1, 1, "continue a text with a model",
     "generate model --prompt \"The licence\" --max-tokens 100"},
    {"logits", "DIR", 1, 1, "logits of given tokens, for comparison with other frameworks",
     "logits model --tokens 1,2,3 --out logits.safetensors"},
    {"graph", "", 0, 0, "the graph of a training step as DOT, or as SVG by the name of --out",
     "graph --model gpt2 --layers 2 --out step.svg"},
    {"info", "", 0, 0,
     "size, memory and work of a model; without --model, the presets and memory policies",
     "info --model gpt2"},
    {"doctor", "", 0, 0, "what this machine has, what is wrong with it, and how to mend it",
     "doctor"},
    {"plan", "", 0, 0, "what a memory policy decides for a training step, without running it",
     "plan --model gpt2 --memory chain-dp --memory-budget 0.5 --out plan.svg"},
    {"compare", "", 0, 0,
     "memory policies under budgets: memory, time, and that the bits are the same",
     "compare --policies none,chain-dp,online --budgets 1,0.5 --out front.svg"},
    {"simulate", "", 0, 0,
     "parallel policies on a platform that need not be at hand: time, bubbles, memory, transfers",
     "simulate --platform 8-cards --model gpt2 --parallel gpipe,1f1b,zb-h1 --out steps.svg"},
    {"bench train", "", 0, 0, "time of a training step against what the machine could do",
     "bench train --model gpt2 --batch 4 --sequence 64"},
    {"bench generate", "", 0, 0, "tokens per second against the floor set by memory bandwidth",
     "bench generate --model gpt2"},
    {"bench replan", "", 0, 0, "what a step waits for when the budget changes under way",
     "bench replan --model gpt2 --batch 4 --sequence 64 --memory online --budgets 0.5,0.8"},
    {"help", "", 0, 0, "this text, or with --man the manual page", NULL},
    {"version", "", 0, 0, "the version", NULL},
};

const struct plb_program cli_program = {
    .name = "palombe",
    .version = PACKAGE_VERSION,
    .summary = "a task-based runtime for AI on accelerators that come and go",
    .n_commands = sizeof commands / sizeof commands[0],
    .n_options = sizeof options / sizeof options[0],
    .command = commands,
    .option = options,
};
