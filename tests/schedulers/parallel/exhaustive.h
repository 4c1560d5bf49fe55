/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The planner's decision space, searched without thought: every number of replicas and of
 * micro-batches, every place for every shard of every stage in every order, every cut of the units,
 * every deal of the micro-batches, every rule. For instances of a few units and places.
 */
#ifndef PLB_TEST_EXHAUSTIVE_H
#define PLB_TEST_EXHAUSTIVE_H

#include "schedulers/parallel/auto.h"

/* Seconds of the best plan; HUGE_VAL: there is none. `plans_out` gets the number of plans
 * played. */
double exhaustive_seconds(const struct plb_auto_problem *problem, uint64_t *plans_out);

/* Random instances: 2 to 5 units, 1 to 4 places of up to 2 kinds on up to 2 nodes. */
struct instance {
    struct plb_auto_profile profile;
    plb_places_t *places;
    size_t budget[8];
    struct plb_auto_problem problem;
};
void instance_make(uint64_t seed, struct instance *instance_out);
void instance_clear(struct instance *instance);

#endif
