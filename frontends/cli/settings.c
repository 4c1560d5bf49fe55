/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What several commands read from their settings.
 */
#include "config.h"

#include "frontends/cli/cli.h"

#include "runtime/run/session.h"

#include <string.h>

enum plb_dtype cli_dtype(const struct plb_settings *settings)
{
    return strcmp(plb_settings_text(settings, OPTION_DTYPE), "bf16") == 0 ? PLB_BF16 : PLB_F32;
}

enum plb_status cli_start_runtime(const struct plb_settings *settings)
{
    const struct plb_runtime_options options = {
        .workers = (int)plb_settings_integer(settings, OPTION_WORKERS),
        .device = plb_settings_text(settings, OPTION_DEVICE)};

    return plb_runtime_start(&options);
}
