/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: the input is a file of a platform. In what is accepted every two places are joined,
 * by ports that there are. */
#include "config.h"

#include <stdlib.h>

#include "runtime/plan/places.h"
#include "tests/fuzz/fuzz.h"

const char plb_fuzz_name[] = "platform";

/* Of more places than this the first and the last are looked at. */
#define LOOKED_AT 64u

static void check_way(const plb_places_t *places, uint32_t from, uint32_t to)
{
    struct plb_way way = plb_places_way(places, from, to);

    if (!(way.bytes_per_second > 0) || !(way.latency_seconds >= 0) ||
        way.n_ports > PLB_PORTS_OF_A_WAY || (from != to && way.n_ports == 0))
        abort();
    for (uint32_t k = 0; k < way.n_ports; k++)
        if (way.port[k] >= plb_places_ports(places))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    plb_places_t *places = NULL;
    uint32_t n;

    if (plb_places_from_json((const char *)data, size, "fuzz", &places) != PLB_OK)
        return 0;
    n = plb_places_count(places);
    for (uint32_t a = 0; a < n && a < LOOKED_AT; a++)
        for (uint32_t b = 0; b < n && b < LOOKED_AT; b++) {
            check_way(places, a, b);
            check_way(places, n - 1 - a, b);
        }
    for (uint32_t p = 0; p < n; p++)
        if (plb_places_at(places, p)->kind >= plb_places_kinds(places))
            abort();
    plb_places_destroy(places);
    return 0;
}
