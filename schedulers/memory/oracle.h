/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checkmate's integer programme (Jain et al. 2020, "Checkmate: breaking the memory wall with optimal
 * tensor rematerialization", section 4), for graphs of a few tasks.
 *
 * There are as many stages as tasks. In stage t task t runs for the first time; before it, in the
 * graph's order, earlier ones may run again. Binary variables: R(t, i), task i runs in stage t;
 * S(t, d), value d is kept from stage t - 1 into stage t. Between 0 and 1 follows F(t, d, i): value d
 * ends after task i of stage t, which it may only when i runs, no later task of the stage reads d,
 * and d is not kept. (Checkmate's linearisation has F both ways; where memory is short F is as great
 * as it may be, so upper bounds are enough.) Memory while a task runs is a row; an output that may
 * take over the storage of an input that ends there is not counted beside it.
 *
 *   minimise  sum of seconds(i) R(t, i)   where
 *   S(t+1, d) <= S(t, d) + R(t, producer of d)
 *   R(t, i)   <= S(t, d) + R(t, producer of d)       for each input d of i
 *   F(t, d, i) <= R(t, i),  1 - R(t, j),  1 - S(t+1, d)   for each later reader j of d
 *
 * Tasks that make gradients run once, which takes little from the programme and a lot from the time
 * that it takes to solve.
 *
 * Not public. Thread-safety: GLPK's environment is per thread.
 */
#ifndef PLB_SCHEDULERS_MEMORY_ORACLE_H
#define PLB_SCHEDULERS_MEMORY_ORACLE_H

#include "schedulers/memory/chain/chain.h"

#define PLB__ORACLE_TASKS_MAX 30

/* Values of one pass that the programme is about. */
struct plb__oracle_value {
    plb_value value;
    int producer;  /* tasks are numbered from the first one of the pass */
    int n_readers;
    int reader[PLB__ORACLE_TASKS_MAX]; /* in order */
    double bytes;  /* 0: not counted */
    bool after;    /* read after the pass */
};

struct plb__oracle_task {
    double seconds;
    bool again; /* it may run more than once */
    int n_in, n_out;
    int *in, *out;    /* values of the programme */
    int *taken;       /* per output: the value whose storage it may take over, or -1 */
};

struct plb__oracle {
    int n_tasks, n_values;
    struct plb__oracle_task task[PLB__ORACLE_TASKS_MAX];
    struct plb__oracle_value *value;
    double bytes;        /* that may be used */
    double seconds_most; /* no solution beyond is wanted */
    int milliseconds;    /* for the solver */
};

struct plb__oracle_solution {
    double seconds;
    bool run[PLB__ORACLE_TASKS_MAX][PLB__ORACLE_TASKS_MAX]; /* [stage][task] */
    bool *keep; /* [stage * n_values + value], stages 0 to n_tasks; owned by the caller */
};

/* PLB_ERROR_MEMORY: there is no solution. PLB_ERROR_UNAVAILABLE: not proved within the time, or the
 * solver is not there. `keep` is allocated on success. */
enum plb_status plb__oracle_solve(const struct plb__oracle *oracle,
                                  struct plb__oracle_solution *solution_out);

#endif
