/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values: what tasks read and make.
 *
 * A value is immutable and has one producer (a task, or nobody for what exists before a step). It
 * has a dtype, a shape and a role. Data lies in row-major order, dense, the last dimension
 * contiguous. An update does not change a value: it makes a new one, the next version.
 *
 * Dimension 0 is called the *rows* of a value, the last dimension of a value of rank 2 its
 * *columns*. A large value is cut into a grid of *cells* along rows and, rarely, columns; each cell
 * is then a value of its own with its own storage (see cut.h).
 *
 * Thread-safety: all functions here are pure.
 */
#ifndef PLB_GRAPH_VALUE_H
#define PLB_GRAPH_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The number of a value, or of a task, in its graph. */
typedef uint32_t plb_value;
typedef uint32_t plb_task_id;

#define PLB_NONE UINT32_MAX

enum plb_dtype {
    PLB_F32,
    PLB_BF16, /* bfloat16: storage only, all arithmetic is in fp32 */
    PLB_F64,  /* scalars that need it (sums of squares) */
    PLB_I32,
    PLB_DTYPES
};

enum plb_role {
    PLB_ROLE_INPUT,      /* written by the caller before a step */
    PLB_ROLE_PARAMETER,  /* what is trained, in the dtype that the layers read */
    PLB_ROLE_STATE,      /* lives on beside the parameters: moments, masters, caches */
    PLB_ROLE_ACTIVATION, /* made by the forward pass */
    PLB_ROLE_GRADIENT,   /* made by the backward pass */
    PLB_ROLES
};

#define PLB_RANK_MAX 4

/* A shape of rank 1 to PLB_RANK_MAX; unused dimensions are zero. Scalars have shape [1]. */
struct plb_shape {
    int rank;
    int64_t dim[PLB_RANK_MAX];
};

/* What a value is, without its name: enough for shape rules and costs. rank 0: absent. */
struct plb_type {
    enum plb_dtype dtype;
    struct plb_shape shape;
};

size_t plb_dtype_bytes(enum plb_dtype dtype);
const char *plb_dtype_name(enum plb_dtype dtype); /* "f32", "bf16", "f64", "i32" */
const char *plb_role_name(enum plb_role role);    /* "input", "parameter", ... */

static inline struct plb_shape plb_shape1(int64_t a)
{
    struct plb_shape shape = {1, {a, 0, 0, 0}};
    return shape;
}

static inline struct plb_shape plb_shape2(int64_t a, int64_t b)
{
    struct plb_shape shape = {2, {a, b, 0, 0}};
    return shape;
}

static inline struct plb_shape plb_shape4(int64_t a, int64_t b, int64_t c, int64_t d)
{
    struct plb_shape shape = {4, {a, b, c, d}};
    return shape;
}

bool plb_shape_equal(const struct plb_shape *a, const struct plb_shape *b);

/* The number of elements, or -1 when a dimension is below 1 or the product passes 2^62. */
int64_t plb_shape_elements(const struct plb_shape *shape);

/* Elements of one row: the product of dimensions 1 and up (1 for rank 1). */
int64_t plb_shape_row_elements(const struct plb_shape *shape);

/* Bytes of a value of this type; 0 for an absent one. */
size_t plb_type_bytes(const struct plb_type *type);

/* "f32[4,768]" into `text` (at most `bytes`, always terminated); returns `text`. */
char *plb_type_print(const struct plb_type *type, char *text, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
