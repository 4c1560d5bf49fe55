/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The number formats that files hold, and their conversion to what the runtime computes with.
 *
 * A file holds more formats than the graph has dtypes (plb_dtype): fp16, 8- and 64-bit integers and
 * so on. They are all little-endian, as is every machine that Palombe runs on. Formats below 8 bits
 * and the 8-bit floats are not read.
 *
 * Thread-safety: all functions are pure.
 */
#ifndef PLB_FORMATS_STORED_DTYPE_H
#define PLB_FORMATS_STORED_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/graph/value.h"

#ifdef __cplusplus
extern "C" {
#endif

enum plb_stored_dtype {
    PLB_STORED_BOOL, /* one byte, 0 or 1 */
    PLB_STORED_U8,
    PLB_STORED_I8,
    PLB_STORED_U16,
    PLB_STORED_I16,
    PLB_STORED_F16,
    PLB_STORED_BF16,
    PLB_STORED_U32,
    PLB_STORED_I32,
    PLB_STORED_F32,
    PLB_STORED_U64,
    PLB_STORED_I64,
    PLB_STORED_F64,
    PLB_STORED_DTYPES
};

/* The name in a safetensors header: "F32", "BF16", ... */
const char *plb_stored_dtype_name(enum plb_stored_dtype dtype);

/* The format of that name; false when there is none. */
bool plb_stored_dtype_find(const char *name, enum plb_stored_dtype *dtype_out);

/* Bytes of one element. */
size_t plb_stored_dtype_bytes(enum plb_stored_dtype dtype);

/* The format in which a value of the graph is stored as it is. */
enum plb_stored_dtype plb_stored_dtype_of(enum plb_dtype dtype);

/* Whether plb_stored_convert() knows this pair: equal formats; anything to a float format other
 * than F16; integers to I32 or I64. */
bool plb_stored_converts(enum plb_stored_dtype from, enum plb_stored_dtype to);

/* Converts `count` elements. `source` needs no alignment; `target` must be aligned for its format
 * and must not overlap. Rounds to nearest, ties to even; float64 goes to bfloat16 by way of
 * float32; what is too large becomes infinite; NaN stays NaN. PLB_ERROR_INVALID for a pair that is
 * not known; PLB_ERROR_FORMAT when an integer does not fit. */
enum plb_status plb_stored_convert(enum plb_stored_dtype from, const void *source,
                                   enum plb_stored_dtype to, void *target, size_t count);

#ifdef __cplusplus
}
#endif

#endif
