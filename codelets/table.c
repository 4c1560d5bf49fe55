/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of operators, made from codelets/operators.def. No operator is written here.
 */
#include "codelets/codelets.h"
#include "codelets/common/operators.h"

#include <string.h>

static const struct plb_operator *const table[] = {
#define PLB_OPERATOR(name) &plb_op_##name,
#include "codelets/operators.def"
#undef PLB_OPERATOR
};

const struct plb_operator *const *plb_operators(int *n_out)
{
    *n_out = (int)(sizeof(table) / sizeof(table[0]));
    return table;
}

const struct plb_operator *plb_operator_find(const char *name)
{
    for (size_t k = 0; k < sizeof(table) / sizeof(table[0]); k++) {
        if (strcmp(table[k]->name, name) == 0)
            return table[k];
    }
    return NULL;
}
