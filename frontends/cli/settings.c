/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What several commands read from their settings.
 */
#include "config.h"

#include "frontends/cli/cli.h"

#include "runtime/run/device.h"
#include "runtime/run/session.h"
#include "schedulers/schedulers.h"

#include <stdint.h>
#include <string.h>

enum plb_dtype cli_dtype(const struct plb_settings *settings)
{
    return strcmp(plb_settings_text(settings, OPTION_DTYPE), "bf16") == 0 ? PLB_BF16 : PLB_F32;
}

enum plb_status cli_start_runtime(const struct plb_settings *settings)
{
    const struct plb_runtime_options options = {
        .workers = (int)plb_settings_integer(settings, OPTION_WORKERS),
        .device = plb_settings_text(settings, OPTION_DEVICE),
        .devices = plb_settings_text(settings, OPTION_DEVICES)};

    return plb_runtime_start(&options);
}

static enum plb_status read_parallel(const struct plb_settings *settings,
                                     struct plb_session_options *options)
{
    const struct plb_parallel_policy *policy;

    options->parallel = plb_settings_text(settings, OPTION_SPREAD);
    options->degrees = (struct plb_degrees){
        .replicas = (uint32_t)plb_settings_integer(settings, OPTION_REPLICAS),
        .stages = (uint32_t)plb_settings_integer(settings, OPTION_STAGES),
        .chunks = (uint32_t)plb_settings_integer(settings, OPTION_CHUNKS),
        .shard_state = plb_settings_switch(settings, OPTION_SHARD_STATE)};
    return plb_parallel_policy_find(options->parallel, &policy);
}

enum plb_status cli_session_memory(const struct plb_settings *settings,
                                   struct plb_session_options *options, plb_costs_t **costs_out)
{
    const char *costs = plb_settings_text(settings, OPTION_COSTS);
    const struct plb_memory_policy *policy;

    PLB_TRY(plb_memory_policy_find(plb_settings_text(settings, OPTION_MEMORY), &policy));
    options->memory_policy = plb_settings_text(settings, OPTION_MEMORY);
    options->state = plb_settings_text(settings, OPTION_STATE);
    options->offload_dir = plb_settings_text(settings, OPTION_OFFLOAD_DIR);
    PLB_TRY(plb_budget_read(plb_settings_text(settings, OPTION_MEMORY_BUDGET), &options->budget));
    PLB_TRY(read_parallel(settings, options));
    if (!costs || !*costs)
        return PLB_OK;
    PLB_TRY(plb_costs_find(costs, costs_out));
    options->costs = *costs_out;
    return PLB_OK;
}

enum plb_status cli_record_costs(const struct plb_settings *settings, const plb_session_t *session)
{
    const char *path = plb_settings_text(settings, OPTION_RECORD_COSTS);

    return path && *path ? plb_costs_save(plb_session_costs(session), path) : PLB_OK;
}

void cli_say_parallel(const struct plb_settings *settings, const struct plb_session_info *info)
{
    char bytes[32];

    if (strcmp(info->parallel, "none") == 0)
        return;
    cli_say(settings,
            "parallel policy %s on %u devices: %u transfers of %s a step; simulated %.1f ms, "
            "bubble %.1f %%\n",
            info->parallel, info->devices, info->transfers,
            cli_print_bytes((double)info->transferred, bytes, sizeof bytes),
            1e3 * info->predicted_seconds, 100.0 * info->bubble);
}

char *cli_print_device(char *text, size_t size)
{
    const struct plb_device *device = plb_runtime_device();
    char bytes[32];

    if (plb_runtime_devices() > 1)
        snprintf(text, size, "%u devices %s, %d worker%s each", plb_runtime_devices(), device->name,
                 device->workers, device->workers == 1 ? "" : "s");
    else if (device->has_host)
        snprintf(text, size, "%s:%s, %d worker%s", device->name,
                 cli_print_bytes((double)device->bytes, bytes, sizeof bytes), device->workers,
                 device->workers == 1 ? "" : "s");
    else
        snprintf(text, size, "%s, %d worker%s", device->name, device->workers,
                 device->workers == 1 ? "" : "s");
    return text;
}

char *cli_print_memory(const struct plb_session_info *info, char *text, size_t size)
{
    char planned[32], budget[32];

    cli_print_bytes((double)info->planned_bytes, planned, sizeof planned);
    if (info->budget == SIZE_MAX)
        snprintf(text, size, "memory policy %s, %s planned", info->memory_policy, planned);
    else
        snprintf(text, size, "memory policy %s, %s planned of a budget of %s", info->memory_policy,
                 planned, cli_print_bytes((double)info->budget, budget, sizeof budget));
    return text;
}
