/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Profiles: making, dividing, checking. What this is not: reading one from a graph
 * (profile_graph.c).
 */
#include "config.h"

#include "schedulers/parallel/auto.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum plb_status plb_auto_profile_create(uint32_t n_records, uint32_t n_units, uint32_t kinds,
                                        uint32_t samples, struct plb_auto_profile *profile_out)
{
    struct plb_auto_profile profile = {.samples = samples, .kinds = kinds, .n_records = n_records,
                                       .n_units = n_units};

    if (n_units == 0 || n_units > PLB_AUTO_UNITS || n_records == 0 ||
        n_records > PLB_AUTO_RECORDS)
        return plb_fail(PLB_ERROR_INVALID,
                        "a model of %u units of %u sorts: from 1 to %d of at most %d", n_units,
                        n_records, PLB_AUTO_UNITS, PLB_AUTO_RECORDS);
    if (samples == 0)
        return plb_fail(PLB_ERROR_INVALID, "a step of no samples");
    if (kinds == 0 || kinds > PLB_AUTO_KINDS)
        return plb_fail(PLB_ERROR_INVALID, "%u kinds of devices: from 1 to %d", kinds,
                        PLB_AUTO_KINDS);
    profile.record = calloc(n_records, sizeof *profile.record);
    profile.unit = calloc(n_units, sizeof *profile.unit);
    if (!profile.record || !profile.unit) {
        plb_auto_profile_clear(&profile);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a profile of %u units", n_units);
    }
    *profile_out = profile;
    return PLB_OK;
}

void plb_auto_profile_clear(struct plb_auto_profile *profile)
{
    free(profile->record);
    free(profile->unit);
    *profile = (struct plb_auto_profile){.samples = 0};
}

static void divide_work(struct plb_auto_work *work, uint32_t log_degree)
{
    const struct plb_auto_work *whole = &work[0];
    double degree = (double)(1u << log_degree);

    work[log_degree] = *whole;
    work[log_degree].forward.each = whole->forward.each / degree;
    work[log_degree].inputs.each = whole->inputs.each / degree;
    work[log_degree].weights.each = whole->weights.each / degree;
    work[log_degree].update = whole->update / degree;
}

void plb_auto_profile_divide(struct plb_auto_profile *profile)
{
    for (uint32_t r = 0; r < profile->n_records; r++)
        for (uint32_t k = 0; k < profile->kinds; k++)
            for (uint32_t d = 1; d < PLB_AUTO_DEGREES; d++)
                divide_work(profile->record[r].work[k], d);
}

/* ---- checking ---- */

static bool is_amount(double x)
{
    return isfinite(x) && x >= 0;
}

static enum plb_status check_work(const struct plb_auto_unit *unit, uint32_t kind, uint32_t d)
{
    const struct plb_auto_work *w = &unit->work[kind][d];
    const double figure[] = {w->forward.each, w->forward.fixed, w->inputs.each, w->inputs.fixed,
                             w->weights.each, w->weights.fixed, w->update};

    for (size_t i = 0; i < sizeof figure / sizeof *figure; i++)
        if (!is_amount(figure[i]))
            return plb_fail(PLB_ERROR_INVALID,
                            "unit \"%s\" takes %g seconds on devices of kind %u at degree %u",
                            unit->name, figure[i], kind, 1u << d);
    return PLB_OK;
}

static enum plb_status check_options(const struct plb_auto_unit *unit)
{
    if (unit->n_options > PLB_AUTO_OPTIONS)
        return plb_fail(PLB_ERROR_INVALID, "unit \"%s\" has %u options: at most %d", unit->name,
                        unit->n_options, PLB_AUTO_OPTIONS);
    for (uint32_t o = 0; o < unit->n_options; o++) {
        const struct plb_auto_option *a = &unit->option[o];

        if (!is_amount(a->held) || !is_amount(a->again) || a->held > 1 ||
            (o == 0 && (a->held < 1 || a->again > 0)) || (o > 0 && a->held > a[-1].held))
            return plb_fail(PLB_ERROR_INVALID,
                            "option %u of unit \"%s\" holds %g and recomputes %g: the first is 1 "
                            "and 0, the others hold ever less",
                            o, unit->name, a->held, a->again);
    }
    return PLB_OK;
}

static enum plb_status check_unit(const struct plb_auto_profile *profile,
                                  const struct plb_auto_unit *unit)
{
    const double bytes[] = {unit->parameters, unit->state,         unit->gradients,
                            unit->boundary,   unit->saved,         unit->saved_weights,
                            unit->saved_all,  unit->transient,     unit->exchanged};

    if (unit->most_degree == 0)
        return plb_fail(PLB_ERROR_INVALID, "unit \"%s\" can be split into no parts", unit->name);
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        if (!is_amount(bytes[i]))
            return plb_fail(PLB_ERROR_INVALID, "unit \"%s\" has %g bytes", unit->name, bytes[i]);
    if (unit->saved_weights > unit->saved)
        return plb_fail(PLB_ERROR_INVALID,
                        "unit \"%s\" holds %g bytes for the gradient of its weights, of %g in all",
                        unit->name, unit->saved_weights, unit->saved);
    for (uint32_t k = 0; k < profile->kinds; k++)
        for (uint32_t d = 0; d < PLB_AUTO_DEGREES; d++)
            PLB_TRY(check_work(unit, k, d));
    return check_options(unit);
}

enum plb_status plb_auto_profile_check(const struct plb_auto_profile *profile)
{
    if (profile->n_units == 0 || profile->samples == 0)
        return plb_fail(PLB_ERROR_INVALID, "a model of %u units and a step of %u samples",
                        profile->n_units, profile->samples);
    for (uint32_t u = 0; u < profile->n_units; u++)
        if (profile->unit[u] >= profile->n_records)
            return plb_fail(PLB_ERROR_INVALID, "unit %u is of sort %u, and there are %u", u,
                            profile->unit[u], profile->n_records);
    for (uint32_t r = 0; r < profile->n_records; r++)
        PLB_TRY(check_unit(profile, &profile->record[r]));
    if (profile->micro_batches && profile->samples % profile->micro_batches)
        return plb_fail(PLB_ERROR_INVALID, "%u samples in %u micro-batches do not come out even",
                        profile->samples, profile->micro_batches);
    return PLB_OK;
}
