/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recomputation within a group of units.
 *
 * Each unit can hold less of each micro-batch in flight by one *step* after the other, a step
 * costs seconds and frees bytes, and steps are on the lower hull of the unit's options; so taking
 * them by rising price is the best for every number of bytes that some prefix of them frees, and
 * off by less than one step for the others (the fractional knapsack: Dantzig 1957).
 */
#include "config.h"

#include "schedulers/parallel/auto/tables.h"

#include <math.h>
#include <stdlib.h>

static uint32_t units_of(const struct plb__tables *t, const struct plb__group *group,
                         uint32_t record)
{
    const uint32_t *count = &t->count[(size_t)record * (t->n + 1)];

    return count[group->to] - count[group->from];
}

double plb__group_again(const struct plb__tables *t, const struct plb__group *group,
                        const struct plb__cost *cost, uint32_t in_flight)
{
    double room = group->ring.capacity - cost->fixed - cost->transient, again = 0, need;
    const struct plb__step *step = t->step[group->kind][group->d];

    need = in_flight * cost->held - room;
    if (need <= PLB__BYTES_OFF * group->ring.capacity)
        return 0;
    need += cost->transient_again - cost->transient;
    for (uint32_t i = 0; i < t->n_steps[group->kind][group->d] && need > 0; i++) {
        double most = (double)units_of(t, group, step[i].record) * in_flight;
        double taken = fmin(most, ceil(need / step[i].freed));

        again += taken * step[i].again;
        need -= taken * step[i].freed;
    }
    return need > PLB__BYTES_OFF * group->ring.capacity ? HUGE_VAL : again / in_flight;
}

enum plb_status plb__group_levels(const struct plb__tables *t, const struct plb__group *group,
                                  const struct plb__cost *cost, struct plb__level **level_out,
                                  uint32_t *n_out)
{
    uint32_t n_steps = t->n_steps[group->kind][group->d], n = 1;
    const struct plb__step *step = t->step[group->kind][group->d];
    struct plb__level *level;

    for (uint32_t i = 0; i < n_steps; i++)
        n += units_of(t, group, step[i].record);
    level = malloc(n * sizeof *level);
    if (!level)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u levels of recomputation", n);
    level[0] = (struct plb__level){cost->held, 0};
    n = 1;
    for (uint32_t i = 0; i < n_steps; i++) {
        for (uint32_t k = units_of(t, group, step[i].record); k > 0; k--, n++) {
            level[n].held = fmax(0, level[n - 1].held - step[i].freed);
            level[n].again = level[n - 1].again + step[i].again;
        }
    }
    *level_out = level;
    *n_out = n;
    return PLB_OK;
}

uint32_t plb__group_option(const struct plb__tables *t, const struct plb__group *group,
                           uint32_t level, uint32_t unit)
{
    uint32_t record = t->profile->unit[unit], option = 0;
    const struct plb__step *step = t->step[group->kind][group->d];
    const uint32_t *count = &t->count[(size_t)record * (t->n + 1)];
    uint32_t nth = count[unit] - count[group->from];

    for (uint32_t i = 0; i < t->n_steps[group->kind][group->d] && level > 0; i++) {
        uint32_t units = units_of(t, group, step[i].record);
        uint32_t taken = units < level ? units : level;

        if (step[i].record == record && nth < taken)
            option = step[i].option;
        level -= taken;
    }
    return option;
}
