/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: the input is a config.json. What is accepted passes the check, and reading it again
 * gives the same. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "frontends/formats/hf_config.h"
#include "tests/fuzz/fuzz.h"

const char plb_fuzz_name[] = "json_config";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plb_model_config config, again;
    memset(&config, 0, sizeof config);
    memset(&again, 0, sizeof again);
    if (plb_model_config_parse((const char *)data, size, "fuzz", &config) != PLB_OK)
        return 0;
    if (plb_model_config_check(&config) != PLB_OK || config.head_dim * config.heads <= 0 ||
        plb_model_config_parse((const char *)data, size, "fuzz", &again) != PLB_OK ||
        config.hidden != again.hidden || config.eos_count != again.eos_count)
        abort();
    return 0;
}
