/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Types of values: sizes, names, text.
 */
#include "config.h"

#include "runtime/graph/value.h"

#include <inttypes.h>
#include <stdio.h>

#define ELEMENTS_MAX (INT64_C(1) << 62)

static const struct {
    const char *name;
    size_t bytes;
} dtypes[PLB_DTYPES] = {
    [PLB_F32] = {"f32", 4},
    [PLB_BF16] = {"bf16", 2},
    [PLB_F64] = {"f64", 8},
    [PLB_I32] = {"i32", 4},
};

static const char *const roles[PLB_ROLES] = {
    [PLB_ROLE_INPUT] = "input",       [PLB_ROLE_PARAMETER] = "parameter",
    [PLB_ROLE_STATE] = "state",       [PLB_ROLE_ACTIVATION] = "activation",
    [PLB_ROLE_GRADIENT] = "gradient",
};

size_t plb_dtype_bytes(enum plb_dtype dtype)
{
    return (unsigned)dtype < PLB_DTYPES ? dtypes[dtype].bytes : 0;
}

const char *plb_dtype_name(enum plb_dtype dtype)
{
    return (unsigned)dtype < PLB_DTYPES ? dtypes[dtype].name : "unknown";
}

const char *plb_role_name(enum plb_role role)
{
    return (unsigned)role < PLB_ROLES ? roles[role] : "unknown";
}

bool plb_shape_equal(const struct plb_shape *a, const struct plb_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int d = 0; d < a->rank; d++) {
        if (a->dim[d] != b->dim[d])
            return false;
    }
    return true;
}

/* The product of dimensions `first` and up, -1 as in plb_shape_elements(). */
static int64_t dimensions_product(const struct plb_shape *shape, int first)
{
    int64_t product = 1;

    for (int d = first; d < shape->rank; d++) {
        if (shape->dim[d] < 1 || shape->dim[d] > ELEMENTS_MAX / product)
            return -1;
        product *= shape->dim[d];
    }
    return product;
}

int64_t plb_shape_elements(const struct plb_shape *shape)
{
    if (shape->rank < 1 || shape->rank > PLB_RANK_MAX)
        return -1;
    return dimensions_product(shape, 0);
}

int64_t plb_shape_row_elements(const struct plb_shape *shape)
{
    return dimensions_product(shape, 1);
}

size_t plb_type_bytes(const struct plb_type *type)
{
    int64_t elements = plb_shape_elements(&type->shape);
    size_t bytes = plb_dtype_bytes(type->dtype);

    if (elements < 0 || bytes == 0)
        return 0;
    if ((uint64_t)elements > SIZE_MAX / bytes)
        return SIZE_MAX;
    return (size_t)elements * bytes;
}

char *plb_type_print(const struct plb_type *type, char *text, size_t bytes)
{
    size_t used;

    if (bytes == 0)
        return text;
    if (type->shape.rank < 1 || type->shape.rank > PLB_RANK_MAX) {
        snprintf(text, bytes, "absent");
        return text;
    }
    used = (size_t)snprintf(text, bytes, "%s[", plb_dtype_name(type->dtype));
    for (int d = 0; d < type->shape.rank && used < bytes; d++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%" PRId64, d > 0 ? "," : "",
                                 type->shape.dim[d]);
    if (used < bytes)
        snprintf(text + used, bytes - used, "]");
    return text;
}
