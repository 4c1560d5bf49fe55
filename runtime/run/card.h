/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running a session's tasks on a card, by kernels of its own.
 *
 * StarPU's CUDA driver has one worker for a card. It calls a task's function, which enqueues
 * kernels on the worker's stream and returns; StarPU then waits for the stream, so that a task has
 * ended, and its tokens are free, when its kernels have. Whoever moves a value knows by its tokens
 * that the value is there, and whoever reads an output, too.
 *
 * What kernels find wrong with data (an index out of range) they note in a word of the session on
 * the card, which is looked at between steps and before an output is handed out.
 *
 * Times are measured by marks on the stream, in a few steps only.
 */
#ifndef PLB_RUN_CARD_H
#define PLB_RUN_CARD_H

#include "runtime/run/cuda_module.h"
#include "runtime/run/run_internal.h"

struct plb__card {
    const struct plb__cuda_module *module;
    struct plb__cuda_context *context;
    size_t workspace_bytes; /* for products, at the beginning of the worker's scratch memory */
    int capability, multiprocessors;
    bool tf32;      /* products of f32 may round their operands */
    bool measuring; /* a step is in flight whose tasks set marks */
};

/* ---- device_cuda.c ---- */

/* The stream of the calling worker, which is StarPU's. */
struct CUstream_st *plb__card_stream(void);
/* PLB_ERROR_DEVICE once StarPU was told by CUDA that the card has failed. */
enum plb_status plb__card_check(void);

/* ---- card.c ---- */

/* Rates of a card of this kind, until they are measured. */
void plb__card_rates(const struct plb__card *card, struct plb_platform *platform);

/* Finds the kernel of a task and what memory it needs. PLB_ERROR_UNAVAILABLE: there is none. */
enum plb_status plb__card_prepare(const struct plb__card *card, const plb_graph_t *graph,
                                  plb_task_id task, struct plb__job *job);
/* Bytes of the card that a worker wants for a call, the workspace for products included. */
size_t plb__card_scratch(const struct plb__card *card, const struct plb__job *job);
/* Enqueues the kernels of an instance, on a worker. */
enum plb_status plb__card_run(const struct plb__card *card, const struct plb__instance *instance);
/* A queue for the kernels of an instance, on a worker. */
struct plb_cuda_queue plb__card_queue(const struct plb__card *card,
                                      const struct plb__instance *instance);
/* What a session asks for is cut into as few tasks as can be, unless it says otherwise. */
struct plb_cut_options plb__card_cut(const struct plb_cut_options *asked);

/* Operands of a call that are gathered begin at multiples of this. */
#define PLB__CARD_ALIGNMENT ((size_t)256)

/* ---- card_pairs.c: tasks that have one kernel together ---- */

/* A member of a batch and one of the two after it, as one launch. */
struct plb__pair {
    const struct plb_cuda_fusion *fusion; /* NULL: no pair begins here */
    uint32_t distance;                    /* of the second: 1, or 2 */
    bool keep;                            /* what goes from one to the other is read later, too */
};

/* Finds the pairs of all batches, by what the program's tasks read and write. */
enum plb_status plb__card_pairs(const struct plb__card *card, const struct plb__program *program,
                                struct plb__batches *batches);

/* ---- card_together.c: several tasks as few launches ---- */

/* How many members of a batch, from k on, are enqueued together: at least 1. */
uint32_t plb__card_together(const struct plb__step *step, const struct plb__batch *batch,
                            uint32_t k);
/* Enqueues them, more than 1, on a worker; the bits are those of one by one. */
enum plb_status plb__card_run_together(const struct plb__card *card, const struct plb__step *step,
                                       const struct plb__batch *batch, uint32_t k, uint32_t n);

/* ---- card_graphs.c ---- */

/* What a batch has enqueued once, to be enqueued again at once. */
struct plb__recording {
    void *graph;         /* of the module's */
    const void *scratch; /* the worker's when it was recorded, which kernels work in */
    bool refused;        /* it cannot be recorded */
};

/* Does the task's kernel depend on the number of the step? Then it is in no batch. */
bool plb__card_changes(const struct plb__job *job);

/* Gives batches room for their recordings; and that back. */
enum plb_status plb__card_recordings(struct plb__batches *batches);
void plb__card_forget(const struct plb__card *card, struct plb__batches *batches);
/* Enqueues a batch by its recording, which is made when there is none, on a worker. False: it has
 * to be enqueued task by task, and nothing was done. */
bool plb__card_replay(const struct plb__card *card, struct plb__step *step,
                      const struct plb__batch *batch);

/* ---- card_faults.c ---- */

/* Of the session's word, behind its inputs. */
#define PLB__FAULT_BYTES ((size_t)64)

/* Sets the session's word to "nothing is wrong". */
enum plb_status plb__card_clear_fault(struct plb_session *session);
/* Fails the session if its word, or the card, says that something is wrong. */
void plb__card_look(struct plb_session *session);

/* ---- card_times.c ---- */

/* Shall the tasks of the step that is about to be submitted be measured? Then it is noted when. */
bool plb__card_begin_times(struct plb_session *session);
/* Around the kernels of an instance of a step that is measured. */
enum plb_status plb__card_mark(const struct plb__card *card, const struct plb__instance *instance,
                               bool end);
/* Fills in the times of a step that has ended. */
void plb__card_read_times(struct plb__step *step);

#endif
