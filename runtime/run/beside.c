/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks in main memory beside the device: updates of parameters, whose operands lie in tier HOST.
 *
 * StarPU has no worker for them: a thread makes one after the other, in the plan's order, as movers
 * make copies (mover.h), and has helpers for the large ones, each for a part of the rows, since one
 * core does not reach what main memory can do. The kernels are the CPU's.
 */
#define _GNU_SOURCE
#include "config.h"

#include "runtime/run/run_internal.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 16 };

/* Of operands; a thread is not worth it for less. */
#define PIECE_BYTES (1 << 20)

/* One core is the worker's. */
int plb__beside_threads(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) - 1 : 1;

    return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : n;
}

struct piece {
    const struct plb__invocation *invocation;
    void *const *data;
    uint64_t step;
    int64_t low, high;
    pthread_t thread;
    bool started;
    enum plb_status status;
    char message[256];
};

static enum plb_status compute(const struct piece *piece)
{
    const struct plb__invocation *v = piece->invocation;
    void *scratch = aligned_alloc(64, (v->scratch_bytes + 127) & ~(size_t)63);
    enum plb_status status;

    if (!scratch)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the operands of a task");
    status =
        plb__invocation_run_rows(v, piece->data, piece->step, scratch, piece->low, piece->high);
    free(scratch);
    return status;
}

static void *serve(void *argument)
{
    struct piece *piece = argument;

    piece->status = compute(piece);
    if (piece->status != PLB_OK) {
        strncpy(piece->message, plb_error_message(), sizeof piece->message - 1);
        plb_error_clear();
    }
    return NULL;
}

static int count_pieces(const struct plb__invocation *v, int64_t rows)
{
    size_t bytes = 0;
    int64_t n;

    for (uint32_t j = 0; j < v->n_cells; j++)
        bytes += plb_type_bytes(&(struct plb_type){v->part[j].dtype, v->part[j].shape});
    n = (int64_t)(bytes / PIECE_BYTES) + 1;
    n = n < rows ? n : rows;
    return n < plb__beside_threads() ? (int)n : plb__beside_threads();
}

/* What no thread can be had for is computed by the caller. */
enum plb_status plb__beside_run(const struct plb__invocation *v, void *const *data, uint64_t step)
{
    struct piece piece[THREADS_MAX];
    int64_t rows = plb__invocation_rows(v);
    int n = count_pieces(v, rows);
    enum plb_status status = PLB_OK;

    if (rows <= 1 || n < 1)
        n = 1;
    for (int k = 0; k < n; k++) {
        piece[k] = (struct piece){.invocation = v,
                                  .data = data,
                                  .step = step,
                                  .low = rows * k / n,
                                  .high = rows * (k + 1) / n};
        piece[k].started =
            k > 0 && pthread_create(&piece[k].thread, NULL, serve, &piece[k]) == 0;
    }
    for (int k = 0; k < n; k++)
        if (!piece[k].started)
            serve(&piece[k]);
    for (int k = 0; k < n; k++) {
        if (piece[k].started)
            pthread_join(piece[k].thread, NULL);
        if (piece[k].status != PLB_OK && status == PLB_OK)
            status = plb_fail(piece[k].status, "%s", piece[k].message);
    }
    return status;
}
