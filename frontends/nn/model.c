/* SPDX-License-Identifier: BSD-3-Clause */
/* The register of a model's parameters. What layers compute stands in layers.c. */
#include "config.h"

#include "frontends/nn/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/nn/model_internal.h"
#include "runtime/base/hash.h"

#define SCOPE_BYTES 256
#define SCOPES_MAX  8

struct plb_model {
    struct plb_model_options options;
    plb_graph_t *graph;
    struct plb_parameter *parameters;
    int n_parameters, capacity;
    char scope[SCOPE_BYTES];
    size_t scope_before[SCOPES_MAX]; /* length of the scope before each that was entered */
    int scopes;
    double deviation;
    uint64_t streams;
    int divided; /* shards that tasks on whole rows belong to, 0: to none */
    struct plb__passes passes;
};

enum plb_status plb_model_create(const struct plb_model_options *options, plb_model_t **model_out)
{
    if (options && options->dtype != PLB_F32 && options->dtype != PLB_BF16)
        return plb_fail(PLB_ERROR_INVALID, "a model computes in f32 or bf16, not in dtype %d",
                        (int)options->dtype);
    plb_model_t *model = calloc(1, sizeof *model);
    if (!model)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a model");
    if (options)
        model->options = *options;
    model->graph = plb_graph_create();
    if (!model->graph) {
        free(model);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a graph");
    }
    *model_out = model;
    return PLB_OK;
}

static void free_pieces(struct plb_parameter *parameter)
{
    for (int i = 0; i < parameter->n_pieces; i++)
        free((char *)parameter->pieces[i].tensor);
    free((struct plb_piece *)parameter->pieces);
    parameter->pieces = NULL;
    parameter->n_pieces = 0;
}

static void free_parameter(struct plb_parameter *parameter)
{
    free_pieces(parameter);
    free((char *)parameter->name);
    free((char *)parameter->tensor);
}

void plb_model_destroy(plb_model_t *model)
{
    if (!model)
        return;
    for (int i = 0; i < model->n_parameters; i++)
        free_parameter(&model->parameters[i]);
    free(model->parameters);
    free(model->passes.partial);
    plb_graph_destroy(model->graph);
    free(model);
}

plb_graph_t *plb_model_graph(plb_model_t *model)
{
    return model->graph;
}

const struct plb_model_options *plb_model_options(const plb_model_t *model)
{
    return &model->options;
}

enum plb_status plb_model_status(const plb_model_t *model)
{
    return plb_graph_status(model->graph);
}

void plb_model_enter(plb_model_t *model, const char *format, ...)
{
    size_t before = strlen(model->scope), at = before;
    va_list arguments;

    if (plb_graph_status(model->graph) != PLB_OK)
        return;
    if (before && before + 1 < SCOPE_BYTES)
        model->scope[at++] = '.';
    va_start(arguments, format);
    int n = vsnprintf(model->scope + at, SCOPE_BYTES - at, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= SCOPE_BYTES - at || model->scopes == SCOPES_MAX) {
        plb_graph_fail(model->graph,
                       plb_fail(PLB_ERROR_INVALID, "scope \"%s\" is too long or too deep (%d, %d)",
                                model->scope, SCOPE_BYTES, SCOPES_MAX));
        model->scope[before] = '\0';
        return;
    }
    model->scope_before[model->scopes++] = before;
    plb_graph_set_scope(model->graph, model->scope);
}

void plb_model_leave(plb_model_t *model)
{
    if (plb_graph_status(model->graph) != PLB_OK)
        return;
    if (model->scopes == 0) {
        plb_graph_fail(model->graph, plb_fail(PLB_ERROR_INVALID, "no scope to leave"));
        return;
    }
    model->scope[model->scope_before[--model->scopes]] = '\0';
    plb_graph_set_scope(model->graph, model->scope[0] ? model->scope : NULL);
}

void plb_model_set_deviation(plb_model_t *model, double deviation)
{
    model->deviation = deviation;
}

void plb_model_divide_rows(plb_model_t *model, int n)
{
    model->divided = n > 1 ? n : 0;
    plb_model_set_shard(model, 1, -1);
}

bool plb_model_divided(const plb_model_t *model)
{
    return model->divided > 0;
}

void plb_model_set_shard(plb_model_t *model, int n, int j)
{
    if (n > 1 && j >= 0)
        plb_graph_set_shard(model->graph, j);
    else
        plb_graph_set_shard(model->graph, model->divided ? PLB_SHARD_BY_ROWS(model->divided) : -1);
}

double plb_model_deviation(const plb_model_t *model)
{
    return model->deviation;
}

/* The parameter of that name, or shard 0 of the tensor. */
static struct plb_parameter *find(const plb_model_t *model, const char *name)
{
    for (int i = 0; i < model->n_parameters; i++) {
        struct plb_parameter *parameter = &model->parameters[i];
        const char *known = parameter->share.shard == 0 ? parameter->tensor : parameter->name;
        if (strcmp(known, name) == 0 || strcmp(parameter->name, name) == 0)
            return parameter;
    }
    return NULL;
}

/* Replaces the pieces by copies; the old ones stay on failure. */
static enum plb_status set_pieces(struct plb_parameter *parameter, const struct plb_piece *pieces,
                                  int n)
{
    struct plb_piece *copy = calloc((size_t)n, sizeof *copy);
    int copied = 0;

    for (; copy && copied < n; copied++) {
        copy[copied] = pieces[copied];
        copy[copied].tensor = strdup(pieces[copied].tensor);
        if (!copy[copied].tensor)
            break;
    }
    if (!copy || copied < n) {
        while (copied > 0)
            free((char *)copy[--copied].tensor);
        free(copy);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the register of parameters");
    }
    free_pieces(parameter);
    parameter->pieces = copy;
    parameter->n_pieces = n;
    return PLB_OK;
}

static enum plb_status reserve(plb_model_t *model)
{
    if (model->n_parameters < model->capacity)
        return PLB_OK;
    int capacity = model->capacity ? 2 * model->capacity : 32;
    struct plb_parameter *more =
        realloc(model->parameters, (size_t)capacity * sizeof *model->parameters);
    if (!more)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the register of parameters");
    model->parameters = more;
    model->capacity = capacity;
    return PLB_OK;
}

/* The scope of the graph goes into names of values, and `name` has it already. */
static plb_value add_value(plb_model_t *model, const char *name, enum plb_role role,
                           enum plb_dtype dtype, struct plb_shape shape)
{
    plb_graph_set_scope(model->graph, NULL);
    plb_value value = plb_graph_add_value(model->graph, name, role, dtype, shape);
    plb_graph_set_scope(model->graph, model->scope[0] ? model->scope : NULL);
    return value;
}

static enum plb_status append(plb_model_t *model, struct plb_parameter *parameter)
{
    struct plb_piece piece = {parameter->tensor, 0, parameter->tensor_shape.dim[0], false};

    if (!parameter->name || !parameter->tensor)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a parameter's name");
    PLB_TRY(reserve(model));
    PLB_TRY(set_pieces(parameter, &piece, 1));
    model->parameters[model->n_parameters++] = *parameter;
    return PLB_OK;
}

/* Makes a parameter like this one, of which names are copied. */
static plb_value make(plb_model_t *model, struct plb_parameter parameter)
{
    parameter.value =
        add_value(model, parameter.name, PLB_ROLE_PARAMETER, model->options.dtype, parameter.shape);
    if (parameter.value == PLB_NONE)
        return PLB_NONE;
    parameter.master = model->options.dtype == PLB_F32 ? parameter.value : PLB_NONE;
    parameter.decay = parameter.shape.rank >= 2;
    parameter.name = strdup(parameter.name);
    parameter.tensor = strdup(parameter.tensor);
    enum plb_status status = append(model, &parameter);
    if (status == PLB_OK)
        return parameter.value;
    plb_graph_fail(model->graph, status);
    free_parameter(&parameter);
    return PLB_NONE;
}

/* An existing parameter, if it is like this one. */
static plb_value share_old(plb_model_t *model, const struct plb_parameter *old,
                           const struct plb_parameter *wanted)
{
    char had[80], asked[80];

    if (plb_shape_equal(&old->shape, &wanted->shape) && old->share.shards == wanted->share.shards)
        return old->value;
    plb_type_print(&(struct plb_type){model->options.dtype, old->shape}, had, sizeof had);
    plb_type_print(&(struct plb_type){model->options.dtype, wanted->shape}, asked, sizeof asked);
    plb_graph_fail(model->graph,
                   plb_fail(PLB_ERROR_INVALID, "parameter \"%s\" is %s and cannot be shared as %s",
                            old->name, had, asked));
    return PLB_NONE;
}

/* SCOPE.NAME, and with a share SCOPE.NAME#SHARDofSHARDS, as new ones or those that exist. */
static plb_value find_or_make(plb_model_t *model, const char *name, struct plb_parameter *wanted)
{
    char tensor[2 * SCOPE_BYTES], full[2 * SCOPE_BYTES + 32];
    int n =
        snprintf(tensor, sizeof tensor, "%s%s%s", model->scope, model->scope[0] ? "." : "", name);

    if (n < 0 || (size_t)n >= sizeof tensor) {
        plb_graph_fail(
            model->graph,
            plb_fail(PLB_ERROR_INVALID, "the parameter's name \"%.40s...\" is too long", name));
        return PLB_NONE;
    }
    snprintf(full, sizeof full, wanted->share.shards > 1 ? "%s#%dof%d" : "%s", tensor,
             wanted->share.shard, wanted->share.shards);
    wanted->name = full;
    wanted->tensor = tensor;
    const struct plb_parameter *old = find(model, full);
    return old ? share_old(model, old, wanted) : make(model, *wanted);
}

plb_value plb_model_parameter(plb_model_t *model, const char *name, struct plb_shape shape,
                              enum plb_initial initial, double deviation)
{
    struct plb_parameter wanted = {
        .shape = shape,
        .tensor_shape = shape,
        .share = {.shards = 1,
                  .cols = plb_shape_row_elements(&shape),
                  .n = 1,
                  .slice = {{0, shape.dim[0], 0}}},
        .initial = initial,
        .deviation = deviation,
    };

    if (plb_graph_status(model->graph) != PLB_OK)
        return PLB_NONE;
    return find_or_make(model, name, &wanted);
}

static enum plb_status check_share(const char *name, const struct plb_shape *tensor,
                                   const struct plb_share *share, int64_t *rows_out)
{
    int64_t row = 0, columns = plb_shape_row_elements(tensor);
    bool within = tensor->rank <= 2 && share->cols >= 1 && share->col0 >= 0 &&
                  share->col0 + share->cols <= columns;

    for (int i = 0; i < share->n; row += share->slice[i].rows, i++) {
        const struct plb_slice *slice = &share->slice[i];
        within = within && slice->row0 == row && slice->rows >= 1 && slice->tensor_row0 >= 0 &&
                 slice->tensor_row0 + slice->rows <= tensor->dim[0];
    }
    *rows_out = row;
    if (within && row > 0 && share->shard >= 0 && share->shard < share->shards)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID,
                    "shard %d of %d of parameter \"%s\" is not within its rows "
                    "and columns",
                    share->shard, share->shards, name);
}

plb_value plb_model_shard(plb_model_t *model, const char *name, struct plb_shape tensor,
                          const struct plb_share *share, enum plb_initial initial, double deviation)
{
    struct plb_parameter wanted = {.shape = tensor,
                                   .tensor_shape = tensor,
                                   .share = *share,
                                   .initial = initial,
                                   .deviation = deviation};

    if (plb_graph_status(model->graph) != PLB_OK)
        return PLB_NONE;
    enum plb_status status = check_share(name, &tensor, share, &wanted.shape.dim[0]);
    if (status != PLB_OK) {
        plb_graph_fail(model->graph, status);
        return PLB_NONE;
    }
    if (tensor.rank == 2)
        wanted.shape.dim[1] = share->cols;
    return find_or_make(model, name, &wanted);
}

static enum plb_status check_pieces(const struct plb_parameter *parameter,
                                    const struct plb_piece *pieces, int n)
{
    int64_t row = 0;

    for (int i = 0; i < n; row += pieces[i].rows, i++) {
        if (pieces[i].row0 != row || pieces[i].rows < 1)
            return plb_fail(
                PLB_ERROR_INVALID,
                "piece %d of parameter \"%s\" has rows %lld+%lld where row %lld follows", i,
                parameter->tensor, (long long)pieces[i].row0, (long long)pieces[i].rows,
                (long long)row);
        if (pieces[i].transposed && (n != 1 || parameter->tensor_shape.rank != 2))
            return plb_fail(PLB_ERROR_INVALID,
                            "only a whole matrix can be stored transposed: \"%s\"",
                            parameter->tensor);
    }
    if (row != parameter->tensor_shape.dim[0])
        return plb_fail(PLB_ERROR_INVALID, "the pieces of parameter \"%s\" cover %lld of %lld rows",
                        parameter->tensor, (long long)row,
                        (long long)parameter->tensor_shape.dim[0]);
    return PLB_OK;
}

void plb_model_map(plb_model_t *model, plb_value value, const struct plb_piece *pieces, int n)
{
    if (plb_graph_status(model->graph) != PLB_OK)
        return;
    for (int i = 0; i < model->n_parameters; i++) {
        struct plb_parameter *parameter = &model->parameters[i];
        if (parameter->value != value)
            continue;
        enum plb_status status = check_pieces(parameter, pieces, n);
        if (status == PLB_OK)
            status = set_pieces(parameter, pieces, n);
        if (status != PLB_OK)
            plb_graph_fail(model->graph, status);
        return;
    }
    plb_graph_fail(model->graph,
                   plb_fail(PLB_ERROR_INVALID, "value %u is no parameter of this model", value));
}

int plb_model_parameters(const plb_model_t *model)
{
    return model->n_parameters;
}

const struct plb_parameter *plb_model_parameter_at(const plb_model_t *model, int index)
{
    return index >= 0 && index < model->n_parameters ? &model->parameters[index] : NULL;
}

const struct plb_parameter *plb_model_parameter_find(const plb_model_t *model, const char *name)
{
    return find(model, name);
}

int64_t plb_model_elements(const plb_model_t *model)
{
    int64_t sum = 0;

    for (int i = 0; i < model->n_parameters; i++)
        sum += plb_shape_elements(&model->parameters[i].shape);
    return sum;
}

uint64_t plb_model_fingerprint(const plb_model_t *model)
{
    uint64_t hash = 0;

    for (int i = 0; i < model->n_parameters; i++) {
        const struct plb_parameter *parameter = &model->parameters[i];
        if (parameter->share.shard > 0)
            continue;
        hash = plb_hash_mix(hash, parameter->tensor, strlen(parameter->tensor) + 1);
        hash = plb_hash_mix(hash, parameter->tensor_shape.dim, sizeof parameter->tensor_shape.dim);
    }
    return hash;
}

enum plb_status plb_model_add_masters(plb_model_t *model)
{
    for (int i = 0; i < model->n_parameters; i++) {
        struct plb_parameter *parameter = &model->parameters[i];
        char name[2 * SCOPE_BYTES + 16];
        if (parameter->master != PLB_NONE)
            continue;
        snprintf(name, sizeof name, "%s.master", parameter->name);
        parameter->master = add_value(model, name, PLB_ROLE_STATE, PLB_F32, parameter->shape);
    }
    return plb_graph_status(model->graph);
}

uint64_t plb_model_stream(plb_model_t *model)
{
    return ++model->streams;
}

struct plb__passes *plb__model_passes(plb_model_t *model)
{
    return &model->passes;
}
