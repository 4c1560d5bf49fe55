/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operators of transfers between places: what a part of a hybrid plan has in place of an edge
 * that leaves it. They stand in no table and compute nothing; who runs a part carries the bytes.
 */
#include "config.h"

#include "runtime/plan/spread_internal.h"

/* The shape rules are for builders, which do not make such tasks; they hold all the same. */
static enum plb_status send_shape(struct plb_task_types *types)
{
    (void)types;
    return PLB_OK;
}

static enum plb_status receive_shape(struct plb_task_types *types)
{
    if (types->in[0].shape.rank == 0)
        return plb_fail(PLB_ERROR_INVALID, "receive: nothing says what comes");
    types->out[0] = types->in[0];
    return PLB_OK;
}

static void no_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    (void)types;
    *cost_out = (struct plb_cost){0, 0};
}

static enum plb_status no_kernel(const struct plb_call *call)
{
    (void)call;
    return plb_fail(PLB_ERROR_INVALID,
                    "a transfer between places is no computation: no worker can run it");
}

const struct plb_operator plb__send = {
    .name = "send",
    .attribute_i = {"place"},
    .n_in = 1,
    .n_out = 0,
    .in = {{.name = "value", .rows = PLB_AXIS_A, .cols = PLB_AXIS_B, .flags = PLB_LIST}},
    .once = true,
    .shape = send_shape,
    .cost = no_cost,
    .cpu = no_kernel,
};

const struct plb_operator plb__receive = {
    .name = "receive",
    .attribute_i = {"place"},
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "replaces",
            .rows = PLB_AXIS_A,
            .cols = PLB_AXIS_B,
            .flags = PLB_OPTIONAL | PLB_LIST}},
    .out = {{.name = "value",
             .rows = PLB_AXIS_A,
             .cols = PLB_AXIS_B,
             .flags = PLB_LIST,
             .shares = 1}},
    .once = true,
    .shape = receive_shape,
    .cost = no_cost,
    .cpu = no_kernel,
};

bool plb_operator_is_send(const struct plb_operator *op)
{
    return op == &plb__send;
}

bool plb_operator_is_receive(const struct plb_operator *op)
{
    return op == &plb__receive;
}
