/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: the input is a file of costs. What is accepted is a platform that makes sense, and
 * what is written of it is read again as the same. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/plan/costs.h"
#include "tests/fuzz/fuzz.h"

const char plb_fuzz_name[] = "costs";

static void write_and_read(const plb_costs_t *costs)
{
    plb_costs_t *again = NULL;
    char *first = NULL, *second = NULL;

    if (plb_costs_to_json(costs, &first) != PLB_OK ||
        plb_costs_from_json(first, strlen(first), "again", &again) != PLB_OK ||
        plb_costs_to_json(again, &second) != PLB_OK || strcmp(first, second) != 0)
        abort();
    free(first);
    free(second);
    plb_costs_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    plb_costs_t *costs = NULL;

    if (plb_costs_from_json((const char *)data, size, "fuzz", &costs) != PLB_OK)
        return 0;
    if (plb_platform_check(plb_costs_platform(costs)) != PLB_OK)
        abort();
    write_and_read(costs);
    plb_costs_destroy(costs);
    return 0;
}
