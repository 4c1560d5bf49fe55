/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bf16 to fp32 and back, and the walk of element-wise operators over their pieces.
 */
#include "config.h"

#include "codelets/common/elements.h"

PLB_KERNEL_CLONES static void widen(float *y, const uint16_t *x, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        y[i] = plb__from_bf16(x[i]);
}

PLB_KERNEL_CLONES static void narrow(uint16_t *y, const float *x, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        y[i] = plb__to_bf16(x[i]);
}

void plb__widen(float *y, const uint16_t *x, int64_t n)
{
    widen(y, x, n);
}

void plb__narrow(uint16_t *y, const float *x, int64_t n)
{
    narrow(y, x, n);
}

void plb__load(float *y, const struct plb_tensor *cell, int64_t at, int64_t n)
{
    if (cell->dtype == PLB_F32)
        memcpy(y, (const float *)cell->data + at, (size_t)n * sizeof *y);
    else
        plb__widen(y, (const uint16_t *)cell->data + at, n);
}

void plb__store(const struct plb_tensor *cell, int64_t at, const float *x, int64_t n)
{
    if (cell->dtype == PLB_F32)
        memcpy((float *)cell->data + at, x, (size_t)n * sizeof *x);
    else
        plb__narrow((uint16_t *)cell->data + at, x, n);
}

enum plb_status plb__map(const struct plb_call *call, int n_in, plb__leaf *leaf)
{
    float buffer[3][PLB_CHUNK];
    const struct plb_tensor *y = &call->out[0].part[0];
    int64_t elements = plb_shape_elements(&y->shape);

    for (int64_t at = 0; at < elements; at += PLB_CHUNK) {
        int64_t n = elements - at < PLB_CHUNK ? elements - at : PLB_CHUNK;
        const float *x[2] = {NULL, NULL};

        for (int k = 0; k < n_in; k++)
            x[k] = plb__read(&call->in[k].part[0], at, n, buffer[k]);
        leaf(plb__write(y, at, buffer[2]), x, n, call->attributes);
        plb__written(y, at, n, buffer[2]);
    }
    return PLB_OK;
}
