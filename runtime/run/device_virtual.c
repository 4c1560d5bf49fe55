/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device "virtual" where it cannot be had.
 */
#include "config.h"

#include "runtime/run/device_internal.h"

static enum plb_status prepare(const struct plb__device_wish *wish, struct starpu_conf *conf)
{
    (void)wish;
    (void)conf;
    return plb_fail(PLB_ERROR_UNAVAILABLE,
                    "a virtual device needs StarPU with OpenCL, which was not there when Palombe was "
                    "built");
}

static enum plb_status start(const struct plb__device_wish *wish,
                             const struct plb_device **device_out)
{
    (void)device_out;
    return prepare(wish, NULL);
}

static void stop(void)
{
}

const struct plb__device_kind plb__device_virtual = {
    .name = "virtual", .prepare = prepare, .start = start, .stop = stop};
