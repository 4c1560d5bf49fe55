/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The module's record, and the table of the operators' kernels, made from codelets/operators.def.
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

const struct plb__cuda_module plb_cuda_module = {.abi = PLB__CUDA_ABI,
                                                 .bytes = PLB__CUDA_MODULE_BYTES,
                                                 .cards = &plb__cuda_cards,
                                                 .memory = &plb__cuda_memory,
                                                 .work = &plb__cuda_work};
