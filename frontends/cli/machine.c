/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From settings to a training step and a platform to plan it for.
 */
#include "config.h"

#include "frontends/cli/planner.h"
#include "frontends/cli/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The kind of device whose workers are fastest. */
static const struct plb_platform *fastest(const struct cli_machine *m)
{
    const struct plb_platform *best = plb_costs_platform(plb_places_costs(m->places, 0));

    for (uint32_t k = 1; k < plb_places_kinds(m->places); k++) {
        const struct plb_platform *other = plb_costs_platform(plb_places_costs(m->places, k));

        if (cli_platform_rate(other, m->workload.dtype) >
            cli_platform_rate(best, m->workload.dtype))
            best = other;
    }
    return best;
}

/* One cut for all places: bits depend on it. */
static enum plb_status cut(struct cli_machine *m, bool whole)
{
    if (!whole)
        PLB_TRY(cli_step_cut(m->settings, &m->workload, fastest(m), &m->cut));
    m->graph = m->cut ? m->cut : plb_model_graph(m->workload.model);
    return PLB_OK;
}

static enum plb_status find_seconds(struct cli_machine *m)
{
    uint32_t kinds = plb_places_kinds(m->places), n = plb_graph_tasks(m->graph);

    m->seconds = calloc(kinds, sizeof *m->seconds);
    if (!m->seconds)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the times of %u tasks", n);
    for (uint32_t k = 0; k < kinds; k++) {
        m->seconds[k] = malloc(((size_t)n + 1) * sizeof **m->seconds);
        if (!m->seconds[k])
            return plb_fail(PLB_ERROR_MEMORY, "no memory for the times of %u tasks", n);
        PLB_TRY(plb_costs_of_graph(plb_places_costs(m->places, k), m->graph, m->seconds[k],
                                   k == 0 ? &m->measured : NULL));
    }
    return PLB_OK;
}

static enum plb_status find_places(struct cli_machine *m)
{
    uint32_t n = plb_places_count(m->places);

    m->budget = malloc(n * sizeof *m->budget);
    if (!m->budget)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u places", n);
    for (uint32_t p = 0; p < n; p++) {
        const struct plb_platform *platform =
            plb_costs_platform(plb_places_costs(m->places, plb_places_at(m->places, p)->kind));

        m->budget[p] = platform->bytes[PLB_DEVICE];
        m->rate += platform->workers * cli_platform_rate(platform, m->workload.dtype);
    }
    for (plb_task_id t = 0; t < plb_graph_tasks(m->graph); t++) {
        struct plb_cost cost;

        plb_task_get_cost(m->graph, plb_graph_task(m->graph, t), &cost);
        m->flops += cost.flops;
    }
    return PLB_OK;
}

/* One device, as --costs or this machine has it. */
static enum plb_status open_device(struct cli_machine *m)
{
    plb_costs_t *costs = NULL;
    enum plb_status status;

    PLB_TRY(cli_load_costs(m->settings, &costs));
    status = plb_places_uniform(1, costs, HUGE_VAL, 0.0, &m->places);
    plb_costs_destroy(costs);
    return status;
}

static enum plb_status open_places(struct cli_machine *m)
{
    const char *name = plb_settings_text(m->settings, OPTION_PLATFORM);

    if (name && *name)
        return plb_places_find(name, &m->places);
    if (plb_option_belongs(&m->settings->program->option[OPTION_COSTS], m->settings->command))
        return open_device(m);
    return plb_fail(PLB_ERROR_INVALID, "--platform is missing: a file (doc/platforms.md), or the "
                                       "name of one that is installed, such as 8-cards");
}

enum plb_status cli_machine_open(const struct plb_settings *settings, bool whole,
                                 struct cli_machine *machine_out)
{
    struct cli_machine m = {.settings = settings};
    enum plb_status status = open_places(&m);

    if (status == PLB_OK)
        status = cli_step_build(settings, &m.workload);
    if (status == PLB_OK)
        status = cut(&m, whole);
    if (status == PLB_OK)
        status = find_seconds(&m);
    if (status == PLB_OK)
        status = find_places(&m);
    if (status != PLB_OK) {
        cli_machine_close(&m);
        return status;
    }
    *machine_out = m;
    return PLB_OK;
}

void cli_machine_close(struct cli_machine *machine)
{
    for (uint32_t k = 0; machine->seconds && k < plb_places_kinds(machine->places); k++)
        free(machine->seconds[k]);
    free(machine->seconds);
    free(machine->budget);
    plb_graph_destroy(machine->cut);
    cli_workload_clear(&machine->workload);
    plb_places_destroy(machine->places);
    *machine = (struct cli_machine){0};
}

enum plb_status cli_check_picture(const struct plb_settings *settings)
{
    const char *path = plb_settings_text(settings, OPTION_OUT);
    size_t n = strlen(path);

    if (!plb_settings_given(settings, OPTION_OUT) || (n > 4 && strcmp(path + n - 4, ".svg") == 0))
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "--out wants a name that ends in .svg, not %s", path);
}
