/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adamw: Adam with decoupled weight decay (Loshchilov, Hutter 2019, algorithm 2; the decay is
 * scaled by the learning rate), on fp32 values, with the bf16 working copy written in the same
 * pass.
 *
 *   g = scale gradient         m' = beta1 m + (1 - beta1) g        v' = beta2 v + (1 - beta2) g^2
 *   p' = p - rate (m' hyper[1] / (sqrt(v' hyper[2]) + epsilon) + decay p)
 *
 * The pass is bound by memory: 28 bytes an element, 30 with a working copy. So there is one loop
 * over chunks that stay in the first-level cache, from which the working copy is rounded.
 */
#include "config.h"

#include "codelets/adamw/step.h"
#include "codelets/adamw/update.h"
#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { MOMENTS = 2, HYPER = 4, SCALE = 5 };
enum { BETA1, BETA2, EPSILON, DECAY }; /* attributes */

struct arrays {
    float *p_out, *m_out, *v_out;
    const float *p, *g, *m, *v;
};

/* Outputs may be the inputs. */
PLB_KERNEL_CLONES static void update(const struct arrays *a,
                                     const struct plb__adamw_constants *constants, int64_t n)
{
    float *p_out = a->p_out, *m_out = a->m_out, *v_out = a->v_out;
    const float *p = a->p, *gradient = a->g, *m = a->m, *v = a->v;
    const struct plb__adamw_constants c = *constants;

    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++) {
        struct plb__adamw_state next =
            plb__adamw_step(&c, (struct plb__adamw_state){p[i], m[i], v[i]}, gradient[i]);

        p_out[i] = next.p;
        m_out[i] = next.m;
        v_out[i] = next.v;
    }
}

static enum plb_status shape(struct plb_task_types *types)
{
    PLB_TRY(plb__update_check_attribute(&plb_op_adamw, types, BETA1, 1));
    PLB_TRY(plb__update_check_attribute(&plb_op_adamw, types, BETA2, 1));
    PLB_TRY(plb__update_check_attribute(&plb_op_adamw, types, EPSILON, HUGE_VAL));
    PLB_TRY(plb__update_check_attribute(&plb_op_adamw, types, DECAY, HUGE_VAL));
    return plb__update_shape(&plb_op_adamw, types, MOMENTS);
}

static void cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    plb__update_cost(types, MOMENTS, 17, cost_out);
}

static struct plb__adamw_constants constants_of(const struct plb_call *call)
{
    const double *f = call->attributes->f;
    const float *hyper = call->in[HYPER].part[0].data;
    struct plb__adamw_constants c = {
        .beta1 = (float)f[BETA1],
        .rest1 = (float)(1 - f[BETA1]),
        .beta2 = (float)f[BETA2],
        .rest2 = (float)(1 - f[BETA2]),
        .epsilon = (float)f[EPSILON],
        .decay = (float)f[DECAY],
        .rate = hyper[0],
        .correction1 = hyper[1],
        .correction2 = hyper[2],
        .scale = plb__update_scale(call, SCALE),
    };
    return c;
}

static enum plb_status cpu(const struct plb_call *call)
{
    const struct plb_operand *in = call->in, *out = call->out;
    int64_t elements = plb_shape_elements(&out[0].part[0].shape);
    struct plb__adamw_constants c = constants_of(call);
    bool working = out[MOMENTS + 1].n_parts > 0;

    for (int64_t at = 0; at < elements; at += PLB_CHUNK) {
        int64_t n = elements - at < PLB_CHUNK ? elements - at : PLB_CHUNK;
        struct arrays a = {
            .p_out = (float *)out[0].part[0].data + at,
            .m_out = (float *)out[1].part[0].data + at,
            .v_out = (float *)out[2].part[0].data + at,
            .p = (const float *)in[0].part[0].data + at,
            .g = (const float *)in[1].part[0].data + at,
            .m = (const float *)in[2].part[0].data + at,
            .v = (const float *)in[3].part[0].data + at,
        };

        update(&a, &c, n);
        if (working)
            plb__narrow((uint16_t *)out[MOMENTS + 1].part[0].data + at, a.p_out, n);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_adamw = {
    .name = "adamw",
    .attribute_f = {"beta1", "beta2", "epsilon", "weight_decay"},
    .n_in = 7,
    .n_out = 4,
    .in = {{.name = "p", .rows = PLB_AXIS_A},
           {.name = "g", .rows = PLB_AXIS_A},
           {.name = "m", .rows = PLB_AXIS_A},
           {.name = "v", .rows = PLB_AXIS_A},
           {.name = "hyper"},
           {.name = "scale", .flags = PLB_OPTIONAL},
           {.name = "working", .rows = PLB_AXIS_A, .flags = PLB_OPTIONAL | PLB_UNREAD}},
    .out = {{.name = "p", .rows = PLB_AXIS_A, .shares = 1},
            {.name = "m", .rows = PLB_AXIS_A, .shares = 3},
            {.name = "v", .rows = PLB_AXIS_A, .shares = 4},
            {.name = "working", .rows = PLB_AXIS_A, .flags = PLB_OPTIONAL, .shares = 7}},
    .shape = shape,
    .cost = cost,
    .cpu = cpu,
};

struct plb_update plb_adamw(plb_graph_t *g, plb_value parameter, plb_value gradient, plb_value m,
                            plb_value v, plb_value hyper, plb_value scale, plb_value working,
                            const struct plb_adamw *options)
{
    struct plb_attributes attributes = {
        {0}, {options->beta1, options->beta2, options->epsilon, options->weight_decay}};
    plb_value in[] = {parameter, gradient, m, v, hyper, scale, working};
    plb_value out[4] = {PLB_NONE, PLB_NONE, PLB_NONE, PLB_NONE};

    plb_graph_add_task(g, &plb_op_adamw, &attributes, in, 7, NULL, out);
    return (struct plb_update){out[0], out[1], out[2], out[3]};
}
