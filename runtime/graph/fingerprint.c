/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fingerprint of a graph.
 *
 * Fields are written as 64-bit words into a small buffer, never as structures, whose padding has
 * no defined bytes; each value and each task is mixed in at once.
 */
#include "config.h"

#include "runtime/graph/internal.h"

#include "runtime/base/hash.h"

#include <string.h>

#define VALUE_WORDS (9 + 2 * (1 + PLB_RANK_MAX))

static uint64_t *put(uint64_t *words, int64_t value)
{
    *words = (uint64_t)value;
    return words + 1;
}

static uint64_t *put_shape(uint64_t *words, const struct plb_shape *shape)
{
    words = put(words, shape->rank);
    for (int d = 0; d < PLB_RANK_MAX; d++)
        words = put(words, d < shape->rank ? shape->dim[d] : 0);
    return words;
}

static uint64_t mix_value(uint64_t hash, const struct plb_value_info *info)
{
    uint64_t words[VALUE_WORDS], *end = words;

    end = put(end, info->type.dtype);
    end = put(end, info->role);
    end = put(end, info->producer);
    end = put(end, info->next);
    end = put(end, info->output);
    end = put(end, info->home);
    end = put(end, info->source);
    end = put(end, info->row0);
    end = put(end, info->col0);
    end = put_shape(end, &info->type.shape);
    end = put_shape(end, &info->whole);
    return plb_hash_mix(hash, words, (size_t)(end - words) * sizeof *words);
}

static uint64_t mix_task(uint64_t hash, const struct plb_task *task)
{
    int64_t words[] = {task->phase,
                       task->block,
                       task->micro_batch,
                       task->shard,
                       task->forward,
                       task->tier,
                       task->n_in,
                       task->n_out,
                       task->low[0],
                       task->high[0],
                       task->low[1],
                       task->high[1],
                       task->in_start[task->n_in],
                       task->out_start[task->n_out]};

    hash = plb_hash_mix(hash, task->op->name, strlen(task->op->name));
    hash = plb_hash_mix(hash, words, sizeof words);
    hash = plb_hash_mix(hash, task->attributes.i, sizeof task->attributes.i);
    hash = plb_hash_mix(hash, task->attributes.f, sizeof task->attributes.f);
    hash = plb_hash_mix(hash, task->in_start, (size_t)(task->n_in + 1) * sizeof *task->in_start);
    hash = plb_hash_mix(hash, task->out_start, (size_t)(task->n_out + 1) * sizeof *task->out_start);
    hash = plb_hash_mix(hash, task->in, task->in_start[task->n_in] * sizeof *task->in);
    return plb_hash_mix(hash, task->out, task->out_start[task->n_out] * sizeof *task->out);
}

uint64_t plb_graph_fingerprint(const plb_graph_t *graph)
{
    uint64_t counts[] = {graph->values.n, graph->tasks.n};
    uint64_t hash = plb_hash_mix(0, counts, sizeof counts);

    for (plb_value v = 0; v < graph->values.n; v++)
        hash = mix_value(hash, &plb__graph_value(graph, v)->info);
    for (plb_task_id t = 0; t < graph->tasks.n; t++)
        hash = mix_task(hash, plb__graph_task(graph, t));
    return hash;
}
