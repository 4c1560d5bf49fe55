/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file palombe.h
 * @brief The public interface of Palombe: include this one.
 *
 * @mainpage Palombe
 *
 * A task-based runtime for AI on accelerators that come and go. A neural network is captured once
 * as a graph of tasks that make values, cut into tasks of a good size, planned, checked, and
 * replayed every step on StarPU. Results have the same bits whatever the schedule.
 *
 * @section layers From the ground up
 * - status.h: every function that can fail returns a #plb_status; plb_error_message() says why.
 *   report.h: where what the library says unasked goes.
 * - value.h, operator.h, graph.h: values, operators, graphs; differentiate.h, lineage.h, cut.h: what
 *   is made of graphs.
 * - codelets.h: one builder per operator.
 * - plan.h, schedulers.h: plans, and the policies that write them.
 * - session.h: the runtime, persistent tensors, and running graphs; ledger.h: who holds how much
 *   memory; timeline.h: pictures of a step.
 * - model.h, layers.h, optimizer.h, trainer.h: writing and training a model; classifiers.h, unet.h:
 *   ready-made ones; language.h, pretrain.h, generate.h, sampler.h, logits.h: language models in
 *   Hugging Face's layout; weights.h, checkpoint.h: what is saved.
 * - safetensors.h, hf_config.h, tokenizer.h, file.h: files; corpus.h, shapes.h, shuffle.h: data.
 *
 * @section example A first program
 * @code
 * #include <palombe.h>
 * #include <stdio.h>
 *
 * int main(void)
 * {
 *     if (plb_runtime_start(NULL) != PLB_OK) {
 *         fprintf(stderr, "%s\n", plb_error_message());
 *         return 1;
 *     }
 *     printf("%d workers\n", plb_runtime_workers());
 *     plb_runtime_stop();
 *     return 0;
 * }
 * @endcode
 * Compile it with <tt>cc first.c $(pkg-config --cflags --libs palombe)</tt>.
 *
 * @section conventions Conventions
 * Outputs come last, end in `_out`, and are set only on success. Objects ending in `_t` are opaque;
 * who creates one destroys it. Unless a header says more, an object belongs to one thread at a time.
 * Nothing here ends the process.
 */
#ifndef PALOMBE_H
#define PALOMBE_H

#include "codelets/codelets.h"
#include "frontends/data/corpus.h"
#include "frontends/data/shapes.h"
#include "frontends/data/shuffle.h"
#include "runtime/base/file.h"
#include "frontends/formats/hf_config.h"
#include "frontends/formats/safetensors.h"
#include "frontends/formats/tokenizer.h"
#include "frontends/nn/checkpoint.h"
#include "frontends/nn/classifiers.h"
#include "frontends/nn/generate.h"
#include "frontends/nn/language.h"
#include "frontends/nn/layers.h"
#include "frontends/nn/logits.h"
#include "frontends/nn/model.h"
#include "frontends/nn/optimizer.h"
#include "frontends/nn/pretrain.h"
#include "frontends/nn/sampler.h"
#include "frontends/nn/trainer.h"
#include "frontends/nn/unet.h"
#include "frontends/nn/weights.h"
#include "runtime/base/random.h"
#include "runtime/base/report.h"
#include "runtime/base/status.h"
#include "runtime/graph/cut.h"
#include "runtime/graph/differentiate.h"
#include "runtime/graph/graph.h"
#include "runtime/graph/lineage.h"
#include "runtime/plan/policy.h"
#include "runtime/plan/simulate.h"
#include "runtime/plan/writer.h"
#include "runtime/run/ledger.h"
#include "runtime/run/session.h"
#include "runtime/run/timeline.h"
#include "schedulers/schedulers.h"

#endif
