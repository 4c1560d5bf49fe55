/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Graphs and operands of cases of benchmarks.
 */
#include "config.h"

#include "tests/bench/bench_cases.h"

#include "codelets/codelets.h"
#include "codelets/common/elements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads one word of bench.in and passes it; returns its kind, 0 when the line is at its end. */
static char word_read(const char **text, enum plb_dtype real, struct plb_type *type_out)
{
    static const char kinds[] = "rfidbp";
    const enum plb_dtype dtypes[] = {real, PLB_F32, PLB_I32, PLB_F64, PLB_BF16, PLB_I32};
    const char *at = *text + strspn(*text, " ");
    char kind = *at, *end;

    memset(type_out, 0, sizeof *type_out);
    *text = kind == '\0' ? at : at + 1;
    if (kind == '\0' || kind == '-')
        return kind;
    type_out->dtype = dtypes[strchr(kinds, kind) - kinds];
    do {
        type_out->shape.dim[type_out->shape.rank++] = strtoll(at + 1, &end, 10);
        at = end;
    } while (*at == ',');
    *text = at;
    return kind;
}

plb_graph_t *bench_graph(const struct bench *bench, enum plb_dtype real)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value in[PLB_OPERANDS_MAX], out[PLB_OPERANDS_MAX];
    const char *text = bench->in;
    struct plb_type type;
    char name[16], kind;
    int n = 0;

    while (graph != NULL && (kind = word_read(&text, real, &type)) != '\0') {
        snprintf(name, sizeof name, "%c%d", kind, n); /* bench_fill() looks at the kind */
        in[n++] = type.shape.rank == 0
                      ? PLB_NONE
                      : plb_graph_add_value(graph, name, PLB_ROLE_INPUT, type.dtype, type.shape);
    }
    plb_graph_add_task(graph, plb_operator_find(bench->op), &bench->attributes, in, n, NULL, out);
    return graph;
}

/* Bits that look random (the finaliser of MurmurHash3, Appleby 2011). */
static uint32_t scatter(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

void bench_fill(const struct plb_value_info *info, const struct bench_filling *filling, void *data,
                int64_t n)
{
    const struct plb_tensor cell = {.data = data, .dtype = info->type.dtype};

    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = scatter((uint32_t)i);
        float x = 0.1f + (float)(bits >> 8) / (float)(1 << 24);

        if (cell.dtype == PLB_I32)
            ((int32_t *)data)[i] = info->name[0] == 'p'
                                       ? filling->position
                                       : (int32_t)(bits % (uint32_t)filling->small);
        else if (cell.dtype == PLB_F64)
            ((double *)data)[i] = (double)x;
        else
            plb__store(&cell, i, &x, 1);
    }
}

bool bench_has_real(const struct bench *bench)
{
    return strchr(bench->in, 'r') != NULL;
}

bool bench_wanted(const char *op, int n, char **names)
{
    for (int k = 0; k < n; k++) {
        if (strstr(op, names[k]) != NULL)
            return true;
    }
    return n == 0;
}

static bool has_bench(const struct bench *benches, int n, const char *op)
{
    for (int k = 0; k < n; k++) {
        if (strcmp(benches[k].op, op) == 0)
            return true;
    }
    return false;
}

int bench_forgotten(const char *program, const struct bench *benches, int n)
{
    int operators, missing = 0;
    const struct plb_operator *const *all = plb_operators(&operators);

    for (int k = 0; k < operators; k++) {
        if (has_bench(benches, n, all[k]->name))
            continue;
        fprintf(stderr, "%s: %s is not measured\n", program, all[k]->name);
        missing++;
    }
    return missing;
}
