/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the core and the module libpalombe_cuda.so have in common.
 *
 * The core is not linked with CUDA. What it wants of a card is in tables of functions, which the
 * module has and which are found when a device "cuda" is asked for. Everything that knows a
 * header of CUDA stands in the module (runtime/run/cuda, codelets/<operator>/<operator>.cu);
 * everything that knows StarPU, plans and sessions stays here.
 *
 * Functions return PLB_ERROR_UNAVAILABLE where a driver or a card is missing, PLB_ERROR_MEMORY
 * where the card's memory does not do, and PLB_ERROR_DEVICE for every other error of CUDA, which
 * the message then names. An error like that of a kernel that went astray stays: whatever is asked
 * of the card after it fails in the same way.
 *
 * Thread-safety: all functions may be called by any thread, several at a time; what is enqueued on
 * one stream belongs to one thread at a time.
 *
 * Not installed.
 */
#ifndef PLB_RUN_CUDA_MODULE_H
#define PLB_RUN_CUDA_MODULE_H

#include "codelets/common/cuda.h"
#include "codelets/norm/fused.h"

/* Counted up with every change of what stands here or in codelets/common/cuda.h. */
#define PLB__CUDA_ABI 4

/* The module's only name that is looked up. */
#define PLB__CUDA_SYMBOL "plb_cuda_module"

/* What a card is. */
struct plb__cuda_card {
    char name[96];
    int capability; /* 80, 90, ... */
    int multiprocessors;
    size_t bytes, free_bytes; /* of its memory; free now */
};

/* Where a copy goes between a card and main memory. A direction has a stream of its own; what is
 * ASIDE (a word for the host to look at) waits for neither. */
enum plb__cuda_direction { PLB__CUDA_OUT, PLB__CUDA_IN, PLB__CUDA_ASIDE, PLB__CUDA_DIRECTIONS };

/* A card that was opened: the streams of its copies, a handle of cublasLt, marks of time. */
struct plb__cuda_context;

struct plb__cuda_cards {
    /* Versions of CUDA, as 12040: what the driver does, and what the module was built with. */
    void (*versions)(int *driver_out, int *toolkit_out);
    /* How many cards there are: at least one, else PLB_ERROR_UNAVAILABLE with the reason. */
    enum plb_status (*count)(int *n_out);
    enum plb_status (*describe)(int card, struct plb__cuda_card *card_out);
    enum plb_status (*open)(int card, struct plb__cuda_context **context_out);
    void (*close)(struct plb__cuda_context *context); /* NULL is allowed */
};

struct plb__cuda_memory {
    /* Zeroed memory of the card. */
    enum plb_status (*take)(struct plb__cuda_context *context, size_t bytes, void **address_out);
    void (*give)(struct plb__cuda_context *context, void *address);
    /* Main memory that the card may reach by itself: its copies then are as fast as the link. */
    enum plb_status (*pin)(struct plb__cuda_context *context, void *address, size_t bytes);
    void (*unpin)(struct plb__cuda_context *context, void *address);
    /* Between the card and main memory; returns when the copy is complete, asleep until then. */
    enum plb_status (*copy)(struct plb__cuda_context *context, enum plb__cuda_direction direction,
                            void *to, const void *from, size_t bytes);
    /* From one card to another. */
    enum plb_status (*copy_peer)(struct plb__cuda_context *to_context, void *to,
                                 struct plb__cuda_context *from_context, const void *from,
                                 size_t bytes);
};

/* A rectangle of bytes. */
struct plb__cuda_rectangle {
    void *to;
    const void *from;
    size_t to_pitch, from_pitch, width, rows;
};

struct plb__cuda_work {
    /* The kernel of an operator; NULL: there is none of that name. */
    const struct plb_cuda_operator *(*find)(const char *name);
    /* Pairs of operators that are enqueued as one, up to an entry without names. */
    const struct plb_cuda_fusion *fusions;
    /* Enqueues n calls of adamw in few launches: see codelets/adamw/many.h. */
    enum plb_status (*adamw_many)(const struct plb_call *const *calls, int n,
                                  const struct plb_cuda_queue *queue);
    /* Everything of a queue but workspace, fault and tag. */
    void (*queue)(struct plb__cuda_context *context, struct CUstream_st *stream,
                  struct plb_cuda_queue *queue_out);
    /* Enqueues a copy within the card. */
    enum plb_status (*copy)(struct CUstream_st *stream,
                            const struct plb__cuda_rectangle *rectangle);
    /* What is enqueued on the stream by this thread between record and recorded is not done, but
     * becomes a graph; recorded ends it even where it fails. A graph is enqueued as a whole by
     * replay, any number of times, and freed by forget. */
    enum plb_status (*record)(struct CUstream_st *stream);
    enum plb_status (*recorded)(struct CUstream_st *stream, void **graph_out);
    enum plb_status (*replay)(struct CUstream_st *stream, void *graph);
    void (*forget)(void *graph);
    /* Enqueues mark number `index`: the time at which everything before it was done. */
    enum plb_status (*mark)(struct plb__cuda_context *context, struct CUstream_st *stream,
                            uint32_t index);
    /* Sets mark 0 aside of all streams, now: when it returns, the mark has just passed. */
    enum plb_status (*mark_now)(struct plb__cuda_context *context);
    /* Seconds from one mark to another; both must have passed. */
    enum plb_status (*elapsed)(struct plb__cuda_context *context, uint32_t from, uint32_t to,
                               double *seconds_out);
};

struct plb__cuda_module {
    uint32_t abi;
    uint32_t bytes[3]; /* of this record, of struct plb_call and of struct plb_cuda_queue */
    const struct plb__cuda_cards *cards;
    const struct plb__cuda_memory *memory;
    const struct plb__cuda_work *work;
};

#define PLB__CUDA_MODULE_BYTES                                                       \
    {sizeof(struct plb__cuda_module), sizeof(struct plb_call), sizeof(struct plb_cuda_queue)}

/* The module: of the file that PALOMBE_CUDA_MODULE names, else where it is installed, else beside
 * the library (in a build folder). It is loaded once and stays. PLB_ERROR_UNAVAILABLE says where it
 * was looked for and what is wrong with it. */
enum plb_status plb__cuda_module_load(const struct plb__cuda_module **module_out);

#endif
