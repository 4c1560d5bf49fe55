/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A model under construction: the graph of one step, and the register of its parameters.
 *
 * A user composes layers (layers.h) on a model; each layer asks here for its parameters, which are
 * known by name. The register says what the graph does not: how a parameter begins, whether weight
 * decay applies, and under which names it stands in a model file. The tensors themselves live in a
 * store (runtime/run/session.h): models of different shapes (training, prefill, decoding) that name
 * the same parameters share them.
 *
 * Errors are sticky, as in a graph: a failed call returns PLB_NONE, later ones do nothing, and
 * plb_model_status() tells at the end.
 *
 * Ownership: a model owns its graph. Thread-safety: a model belongs to one thread at a time.
 */
#ifndef PLB_NN_MODEL_H
#define PLB_NN_MODEL_H

#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_model plb_model_t;

struct plb_model_options {
    enum plb_dtype dtype; /* of parameters and activations: PLB_F32 or PLB_BF16 */
    uint64_t seed;        /* of initial values and dropout */
    bool training;        /* whether dropout is applied */
};

enum plb_initial {
    PLB_INITIAL_ZEROS,
    PLB_INITIAL_ONES,
    PLB_INITIAL_NORMAL, /* mean 0, standard deviation `deviation` */
};

/* A tensor of a model file that holds rows `row0` to `row0 + rows` of a parameter, all its columns
 * (of a shard: of the tensor that was split). Transposed: the file has shape [columns, rows]. */
struct plb_piece {
    const char *tensor;
    int64_t row0, rows;
    bool transposed;
};

/* Rows of a shard that follow one another in the tensor that was split, too. */
struct plb_slice {
    int64_t row0, rows;  /* in the shard */
    int64_t tensor_row0; /* where they begin in the tensor */
};

#define PLB_SLICES_MAX 3

/* Shard `shard` of `shards` of a tensor: some of its rows, `cols` of their columns from `col0` on.
 */
struct plb_share {
    int shard, shards;
    int64_t col0, cols;
    int n;
    struct plb_slice slice[PLB_SLICES_MAX];
};

/* A value that a tensor-parallel split has made in n parts, part j by tasks of shard j; n = 1: as a
 * whole. */
struct plb_shards {
    int n;
    plb_value part[PLB_SHARDS_MAX];
};

/* A parameter, in the shape in which the layers read it: linear weights are [out, in]. What stands
 * in files, and begins as it does, is the tensor: the parameter itself, or what it is a shard of.
 */
struct plb_parameter {
    const char *name; /* of a shard "TENSOR#SHARDofSHARDS" */
    struct plb_shape shape;
    const char *tensor;
    struct plb_shape tensor_shape;
    struct plb_share share; /* all of it, shard 0 of 1, unless it is a shard */
    enum plb_initial initial;
    double deviation;
    bool decay;       /* weight decay applies: matrices and kernels, not biases or norms */
    plb_value value;  /* what layers read, of the model's dtype */
    plb_value master; /* f32; the same value in an f32 model, else PLB_NONE until it is trained */
    int n_pieces; /* 1, the tensor's own name, unless plb_model_map() said otherwise; of a tensor
                     in shards, those of shard 0 count */
    const struct plb_piece *pieces;
};

/* An empty model; `options` may be NULL (f32, seed 0, not training). PLB_ERROR_INVALID for a dtype
 * that models cannot have, PLB_ERROR_MEMORY. */
enum plb_status plb_model_create(const struct plb_model_options *options, plb_model_t **model_out);
void plb_model_destroy(plb_model_t *model); /* NULL is allowed */

plb_graph_t *plb_model_graph(plb_model_t *model);
const struct plb_model_options *plb_model_options(const plb_model_t *model);
/* The first failure of any call; its message becomes the thread's message again. */
enum plb_status plb_model_status(const plb_model_t *model);

/* Names of parameters made from now on begin with "SCOPE.", SCOPE being all scopes entered (printf
 * format) and not yet left. */
void plb_model_enter(plb_model_t *model, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void plb_model_leave(plb_model_t *model);

/* The standard deviation that layers give to weights made from now on; 0, the default: each layer's
 * own choice (see layers.h). */
void plb_model_set_deviation(plb_model_t *model, double deviation);
double plb_model_deviation(const plb_model_t *model);

/* The parameter SCOPE.NAME as a value of the model's dtype; made when there is none. One that
 * exists must have this shape (so layers share it). Decay applies when its rank is 2 or more. */
plb_value plb_model_parameter(plb_model_t *model, const char *name, struct plb_shape shape,
                              enum plb_initial initial, double deviation);

/* A shard of the tensor SCOPE.NAME of shape `tensor`. Its initial values are those that an unsplit
 * parameter would have at its place. All shards of a tensor must be asked for, and have each of its
 * elements once between them. PLB_NONE and a failed graph where a share is not within the tensor.
 */
plb_value plb_model_shard(plb_model_t *model, const char *name, struct plb_shape tensor,
                          const struct plb_share *share, enum plb_initial initial,
                          double deviation);

/* Tasks on whole rows (norms, sums, residuals) made from now on belong to no shard, or with n > 1
 * to n shards by their rows. */
void plb_model_divide_rows(plb_model_t *model, int n);
bool plb_model_divided(const plb_model_t *model);
/* Tasks made from now on belong to shard j of n; with n = 1, or j = -1, to what
 * plb_model_divide_rows() said. */
void plb_model_set_shard(plb_model_t *model, int n, int j);

/* Says in which tensors of a model file the parameter of `value` stands. The pieces must cover its
 * rows once, in order; they are copied. */
void plb_model_map(plb_model_t *model, plb_value value, const struct plb_piece *pieces, int n);

/* The parameters in the order of their making. Valid until the next one is made. */
int plb_model_parameters(const plb_model_t *model);
const struct plb_parameter *plb_model_parameter_at(const plb_model_t *model, int index);
/* NULL when there is none of that name. */
const struct plb_parameter *plb_model_parameter_find(const plb_model_t *model, const char *name);
/* The number of trained elements. */
int64_t plb_model_elements(const plb_model_t *model);
/* A hash of names, shapes and order of tensors: what tells one model's checkpoint from another's.
 */
uint64_t plb_model_fingerprint(const plb_model_t *model);

/* Adds the f32 master "NAME.master" (role STATE) of each parameter of a model that is not f32. */
enum plb_status plb_model_add_masters(plb_model_t *model);

/* A number that no dropout of this model had before. */
uint64_t plb_model_stream(plb_model_t *model);

/* Writes rows row0 to row0 + rows of the initial values to data (f32, row-major). A function of
 * (seed, name, element) only. */
void plb_parameter_initialize(const struct plb_parameter *parameter, uint64_t seed, int64_t row0,
                              int64_t rows, float *data);
/* The whole of it, by all cores, since one takes minutes for billions of values; the values are the
 * same. */
void plb_parameter_initialize_all(const struct plb_parameter *parameter, uint64_t seed,
                                  float *data);

#ifdef __cplusplus
}
#endif

#endif
