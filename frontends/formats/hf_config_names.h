/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that a config.json uses for what hf_config.h numbers. Internal to the formats room. */
#ifndef PLB_FORMATS_HF_CONFIG_NAMES_H
#define PLB_FORMATS_HF_CONFIG_NAMES_H

#include "frontends/formats/hf_config.h"

/* The activation of that name; false when it is not known. Several names mean one formula. */
bool plb__activation_find(const char *name, enum plb_model_activation *activation_out);

/* The name that is written. */
const char *plb__activation_name(enum plb_model_activation activation);

/* "float32", "bfloat16", "float16", "float64"; false when it is not known. */
bool plb__torch_dtype_find(const char *name, enum plb_stored_dtype *dtype_out);

/* The name that is written; NULL for a format that is no dtype of weights. */
const char *plb__torch_dtype_name(enum plb_stored_dtype dtype);

#endif
