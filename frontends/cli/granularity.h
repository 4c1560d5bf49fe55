/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of `palombe plan --granularity` share.
 */
#ifndef PLB_CLI_GRANULARITY_H
#define PLB_CLI_GRANULARITY_H

#include "frontends/cli/simulate.h"
#include "schedulers/parallel/auto/granularity.h"

struct cli_granularity {
    struct cli_machine machine;
    struct plb_auto_profile profile;
    struct plb_granularity table;
    struct plb_auto_plan plan; /* of the best row */
    struct plb_granularity_noise noise[PLB_GRANULARITY_NOISES];
};

/* The least noise at which an order found during the run is clearly faster on average; 0: none. */
double cli_granularity_turn(const struct cli_granularity *granularity);

/* granularity_picture.c: seconds by task size, and orders under noise, as SVG; to be freed. */
enum plb_status cli_granularity_svg(const struct cli_granularity *granularity, char **text_out);

#endif
