/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sgd: stochastic gradient descent with momentum (Polyak 1964), weight decay as a part of the
 * gradient, and Nesterov's variant as in Sutskever, Martens, Dahl, Hinton 2013, section 2:
 *
 *   g = scale gradient + decay p      v' = momentum v + g
 *   p' = p - rate (nesterov ? g + momentum v' : v')
 */
#include "config.h"

#include "codelets/adamw/step.h"
#include "codelets/adamw/update.h"
#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { MOMENTS = 1, HYPER = 3, SCALE = 4 };
enum { MOMENTUM, DECAY }; /* attributes */

struct arrays {
    float *p_out, *v_out;
    const float *p, *g, *v;
};

/* Outputs may be the inputs. */
PLB_KERNEL_CLONES static void update(const struct arrays *a,
                                     const struct plb__sgd_constants *constants, int64_t n)
{
    float *p_out = a->p_out, *v_out = a->v_out;
    const float *p = a->p, *gradient = a->g, *v = a->v;
    const struct plb__sgd_constants c = *constants;

    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++) {
        struct plb__sgd_state next =
            plb__sgd_step(&c, (struct plb__sgd_state){p[i], v[i]}, gradient[i]);

        p_out[i] = next.p;
        v_out[i] = next.v;
    }
}

static enum plb_status shape(struct plb_task_types *types)
{
    PLB_TRY(plb__update_check_attribute(&plb_op_sgd, types, MOMENTUM, HUGE_VAL));
    PLB_TRY(plb__update_check_attribute(&plb_op_sgd, types, DECAY, HUGE_VAL));
    return plb__update_shape(&plb_op_sgd, types, MOMENTS);
}

static void cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    plb__update_cost(types, MOMENTS, 10, cost_out);
}

static struct plb__sgd_constants constants_of(const struct plb_call *call)
{
    bool nesterov = call->attributes->i[0] != 0;
    struct plb__sgd_constants c = {
        .momentum = (float)call->attributes->f[MOMENTUM],
        .decay = (float)call->attributes->f[DECAY],
        .rate = ((const float *)call->in[HYPER].part[0].data)[0],
        .scale = plb__update_scale(call, SCALE),
        .keep = nesterov ? (float)call->attributes->f[MOMENTUM] : 1.0f,
        .take = nesterov ? 1.0f : 0.0f,
    };
    return c;
}

static enum plb_status cpu(const struct plb_call *call)
{
    const struct plb_operand *in = call->in, *out = call->out;
    int64_t elements = plb_shape_elements(&out[0].part[0].shape);
    struct plb__sgd_constants c = constants_of(call);
    bool working = out[MOMENTS + 1].n_parts > 0;

    for (int64_t at = 0; at < elements; at += PLB_CHUNK) {
        int64_t n = elements - at < PLB_CHUNK ? elements - at : PLB_CHUNK;
        struct arrays a = {
            .p_out = (float *)out[0].part[0].data + at,
            .v_out = (float *)out[1].part[0].data + at,
            .p = (const float *)in[0].part[0].data + at,
            .g = (const float *)in[1].part[0].data + at,
            .v = (const float *)in[2].part[0].data + at,
        };

        update(&a, &c, n);
        if (working)
            plb__narrow((uint16_t *)out[MOMENTS + 1].part[0].data + at, a.p_out, n);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_sgd = {
    .name = "sgd",
    .attribute_i = {"nesterov"},
    .attribute_f = {"momentum", "weight_decay"},
    .n_in = 6,
    .n_out = 3,
    .in = {{.name = "p", .rows = PLB_AXIS_A},
           {.name = "g", .rows = PLB_AXIS_A},
           {.name = "v", .rows = PLB_AXIS_A},
           {.name = "hyper"},
           {.name = "scale", .flags = PLB_OPTIONAL},
           {.name = "working", .rows = PLB_AXIS_A, .flags = PLB_OPTIONAL | PLB_UNREAD}},
    .out = {{.name = "p", .rows = PLB_AXIS_A, .shares = 1},
            {.name = "v", .rows = PLB_AXIS_A, .shares = 3},
            {.name = "working", .rows = PLB_AXIS_A, .flags = PLB_OPTIONAL, .shares = 6}},
    .shape = shape,
    .cost = cost,
    .cpu = cpu,
};

struct plb_update plb_sgd(plb_graph_t *g, plb_value parameter, plb_value gradient, plb_value v,
                          plb_value hyper, plb_value scale, plb_value working,
                          const struct plb_sgd *options)
{
    struct plb_attributes attributes = {{options->nesterov != 0},
                                        {options->momentum, options->weight_decay}};
    plb_value in[] = {parameter, gradient, v, hyper, scale, working};
    plb_value out[3] = {PLB_NONE, PLB_NONE, PLB_NONE};

    plb_graph_add_task(g, &plb_op_sgd, &attributes, in, 6, NULL, out);
    return (struct plb_update){out[0], out[1], PLB_NONE, out[2]};
}
