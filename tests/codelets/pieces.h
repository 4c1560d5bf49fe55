/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running the kernel of a task of a whole graph in pieces: one call for each range on the cut axes,
 * operands handed over as the operator interface promises (exact parts, lists of cells, windows).
 *
 * Each part lies in memory of its own between guards; outputs and scratch memory are full of NaN
 * before a call; inputs must be unchanged after it, unless the call works in place.
 */
#ifndef PLB_TESTS_CODELETS_PIECES_H
#define PLB_TESTS_CODELETS_PIECES_H

#include "tests/codelets/subject.h"

/* How an extent is cut. */
enum cutting {
    CUT_WHOLE,
    CUT_HALVES,
    CUT_UNEVEN, /* one, half of the rest, the rest */
    CUT_RANDOM, /* up to five places, from the seed */
};

struct pieces {
    enum cutting ranges[PLB_AXES]; /* of the tasks, on axes that index an output */
    enum cutting sums;             /* of the tasks, on axes that index none */
    enum cutting cells;            /* of list operands */
    bool inside;                   /* sequences: cut inside each, else between them */
    bool in_place;                 /* outputs take over the inputs that they may share with */
    int offset;                    /* elements by which parts are put off their alignment */
    uint64_t seed;
};

/* What the calls made. Partial sums (sums other than CUT_WHOLE) are added in double precision, so
 * the type of an output is then f64. */
struct made {
    int n;
    struct plb_type type[PLB_OPERANDS_MAX]; /* rank 0: not made */
    void *data[PLB_OPERANDS_MAX];
    int calls;
    struct plb_cost cost; /* sum over the calls */
};

/* How a call is made, and what it is made on. */
struct pieces_runner {
    bool gathers; /* an operand is one part: the cells of a list are gathered */
    bool aligned; /* parts always begin on a boundary of 256 bytes: `offset` is passed over */
    double cheap_flops; /* tasks that cost more are run in a quarter of the ways; 0: all are cheap */
    /* Bits of an output do not depend on the ranges of calls, for this operator. */
    bool (*same_bits)(const struct plb_operator *op);
    /* What results within the operator are rounded to, relative to the scale of an output; 0 where
     * they are kept in fp32. */
    double (*rounding)(const struct plb_operator *op, enum plb_dtype dtype);
    size_t (*scratch)(const struct plb_operator *op, const struct plb_task_types *types);
    /* `scratch` bytes are at call->scratch. */
    enum plb_status (*run)(const struct plb_operator *op, const struct plb_call *call,
                           size_t scratch);
};

/* The operators' CPU kernels, with which calls are made unless another is used. */
extern const struct pieces_runner pieces_cpu;
void pieces_use(const struct pieces_runner *runner);
const struct pieces_runner *pieces_runner(void);

/* Runs the kernel on data[] (by value). Returns the status of the first call that fails; guards
 * and inputs that were written, or a negative cost, are failed checks. */
enum plb_status pieces_run(const struct subject *s, const struct plb_task *task, void *const *data,
                           const struct pieces *pieces, struct made *made_out);
void made_free(struct made *made);

/* Whether an axis indexes an output (and is cut by ranges), only inputs (sums), or nothing. */
enum axis_use { AXIS_UNUSED, AXIS_RANGE, AXIS_SUM, AXIS_FIXED };
enum axis_use pieces_axis(const struct plb_operator *op, enum plb_axis axis);
bool pieces_takes_list(const struct plb_operand_spec *spec);

#endif
