/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The module's record, the table of the operators' kernels, made from codelets/operators.def, and
 * that of the pairs that have one together.
 */
#include "config.h"

#include "runtime/run/cuda/module_internal.h"

#include <string.h>

static const struct plb_cuda_operator *const table[] = {
#define PLB_OPERATOR(name) &plb_cuda_##name,
#include "codelets/operators.def"
#undef PLB_OPERATOR
};

const struct plb_cuda_operator *plb__cuda_operator(const char *name)
{
    for (size_t k = 0; k < sizeof table / sizeof table[0]; k++)
        if (strcmp(table[k]->name, name) == 0)
            return table[k];
    return NULL;
}

const struct plb_cuda_fusion plb__cuda_fusions[] = {
    {"add", "layer_norm", 0, plb_cuda_add_layer_norm},
    {"add", "rms_norm", 0, plb_cuda_add_rms_norm},
    {"layer_norm_dx", "add", 0, plb_cuda_layer_norm_dx_add},
    {"layer_norm_dx", "add", 1, plb_cuda_layer_norm_dx_add},
    {"rms_norm_dx", "add", 0, plb_cuda_rms_norm_dx_add},
    {"rms_norm_dx", "add", 1, plb_cuda_rms_norm_dx_add},
    {NULL, NULL, 0, NULL},
};

const struct plb__cuda_module plb_cuda_module = {.abi = PLB__CUDA_ABI,
                                                 .bytes = PLB__CUDA_MODULE_BYTES,
                                                 .cards = &plb__cuda_cards,
                                                 .memory = &plb__cuda_memory,
                                                 .work = &plb__cuda_work};
