/* SPDX-License-Identifier: BSD-3-Clause */
/* The number formats that files hold: see stored_dtype.h. Sources are read with memcpy, since
 * nothing in a file is sure to be aligned. */
#include "config.h"

#include "frontends/formats/stored_dtype.h"

#include <inttypes.h>
#include <string.h>

struct stored_format {
    const char *name;
    size_t bytes;
    bool is_float;
};

static const struct stored_format formats[PLB_STORED_DTYPES] = {
    [PLB_STORED_BOOL] = {"BOOL", 1, false}, [PLB_STORED_U8] = {"U8", 1, false},
    [PLB_STORED_I8] = {"I8", 1, false},     [PLB_STORED_U16] = {"U16", 2, false},
    [PLB_STORED_I16] = {"I16", 2, false},   [PLB_STORED_F16] = {"F16", 2, true},
    [PLB_STORED_BF16] = {"BF16", 2, true},  [PLB_STORED_U32] = {"U32", 4, false},
    [PLB_STORED_I32] = {"I32", 4, false},   [PLB_STORED_F32] = {"F32", 4, true},
    [PLB_STORED_U64] = {"U64", 8, false},   [PLB_STORED_I64] = {"I64", 8, false},
    [PLB_STORED_F64] = {"F64", 8, true},
};

const char *plb_stored_dtype_name(enum plb_stored_dtype dtype)
{
    return formats[dtype].name;
}

bool plb_stored_dtype_find(const char *name, enum plb_stored_dtype *dtype_out)
{
    for (int i = 0; i < PLB_STORED_DTYPES; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            *dtype_out = (enum plb_stored_dtype)i;
            return true;
        }
    }
    return false;
}

size_t plb_stored_dtype_bytes(enum plb_stored_dtype dtype)
{
    return formats[dtype].bytes;
}

enum plb_stored_dtype plb_stored_dtype_of(enum plb_dtype dtype)
{
    switch (dtype) {
    case PLB_BF16:
        return PLB_STORED_BF16;
    case PLB_F64:
        return PLB_STORED_F64;
    case PLB_I32:
        return PLB_STORED_I32;
    default:
        return PLB_STORED_F32;
    }
}

bool plb_stored_converts(enum plb_stored_dtype from, enum plb_stored_dtype to)
{
    if (from == to)
        return true;
    switch (to) {
    case PLB_STORED_F32:
    case PLB_STORED_BF16:
    case PLB_STORED_F64:
        return true;
    case PLB_STORED_I32:
    case PLB_STORED_I64:
        return !formats[from].is_float;
    default:
        return false;
    }
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of_bf16(uint16_t half)
{
    return float_of_bits((uint32_t)half << 16);
}

/* To nearest, ties to even: adding 0x7fff carries when the cut part is above one half, and one more
 * when it is exactly one half and the kept part is odd. NaN keeps its sign and is made quiet, since
 * the carry could turn it into an infinity. */
static uint16_t bf16_of_float(float value)
{
    uint32_t bits = bits_of_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float float_of_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = half >> 10 & 0x1fu;
    uint32_t fraction = half & 0x3ffu;
    if (exponent == 0) /* zero, or fraction * 2^-24 */
        return float_of_bits(bits_of_float((float)fraction * 0x1p-24f) | sign);
    if (exponent == 0x1fu)
        return float_of_bits(sign | 0x7f800000u | fraction << 13);
    return float_of_bits(sign | (exponent + 112u) << 23 | fraction << 13);
}

/* Reads element `i` of an unaligned array of `type`. */
#define PLB_ELEMENT(type, source, i)                                                               \
    (__extension__({                                                                               \
        type plb_element_;                                                                         \
        memcpy(&plb_element_, (const char *)(source) + (i) * sizeof(type), sizeof plb_element_);   \
        plb_element_;                                                                              \
    }))

static double real_element(enum plb_stored_dtype from, const void *source, size_t i)
{
    switch (from) {
    case PLB_STORED_F16:
        return (double)float_of_f16(PLB_ELEMENT(uint16_t, source, i));
    case PLB_STORED_BF16:
        return (double)float_of_bf16(PLB_ELEMENT(uint16_t, source, i));
    case PLB_STORED_F32:
        return (double)PLB_ELEMENT(float, source, i);
    default:
        return PLB_ELEMENT(double, source, i);
    }
}

/* Element `i` of an integer format; false when it passes INT64_MAX. */
static bool integer_element(enum plb_stored_dtype from, const void *source, size_t i, int64_t *out)
{
    uint64_t wide;
    switch (from) {
    case PLB_STORED_BOOL:
    case PLB_STORED_U8:
        *out = PLB_ELEMENT(uint8_t, source, i);
        return true;
    case PLB_STORED_I8:
        *out = PLB_ELEMENT(int8_t, source, i);
        return true;
    case PLB_STORED_U16:
        *out = PLB_ELEMENT(uint16_t, source, i);
        return true;
    case PLB_STORED_I16:
        *out = PLB_ELEMENT(int16_t, source, i);
        return true;
    case PLB_STORED_U32:
        *out = PLB_ELEMENT(uint32_t, source, i);
        return true;
    case PLB_STORED_I32:
        *out = PLB_ELEMENT(int32_t, source, i);
        return true;
    case PLB_STORED_I64:
        *out = PLB_ELEMENT(int64_t, source, i);
        return true;
    default:
        wide = PLB_ELEMENT(uint64_t, source, i);
        *out = (int64_t)(wide & INT64_MAX);
        return wide <= INT64_MAX;
    }
}

static enum plb_status integers_to_integers(enum plb_stored_dtype from, const void *source,
                                            enum plb_stored_dtype to, void *target, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = 0;
        bool fits = integer_element(from, source, i, &value);
        if (!fits)
            return plb_fail(PLB_ERROR_FORMAT, "element %zu does not fit into 64 bits with a sign",
                            i);
        if (to == PLB_STORED_I64)
            ((int64_t *)target)[i] = value;
        else if (value >= INT32_MIN && value <= INT32_MAX)
            ((int32_t *)target)[i] = (int32_t)value;
        else
            return plb_fail(PLB_ERROR_FORMAT,
                            "element %zu is %" PRId64 ", which does not fit into 32 bits", i,
                            value);
    }
    return PLB_OK;
}

static void store_real(enum plb_stored_dtype to, void *target, size_t i, double value)
{
    if (to == PLB_STORED_F32)
        ((float *)target)[i] = (float)value;
    else if (to == PLB_STORED_BF16)
        ((uint16_t *)target)[i] = bf16_of_float((float)value);
    else
        ((double *)target)[i] = value;
}

static void to_reals(enum plb_stored_dtype from, const void *source, enum plb_stored_dtype to,
                     void *target, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t integer = 0;
        double value;
        if (formats[from].is_float)
            value = real_element(from, source, i);
        else if (integer_element(from, source, i, &integer))
            value = (double)integer;
        else /* the one that passes INT64_MAX */
            value = (double)PLB_ELEMENT(uint64_t, source, i);
        store_real(to, target, i, value);
    }
}

/* The pairs that models are stored in, as loops that the compiler vectorises. */
static bool convert_common(enum plb_stored_dtype from, const void *source, enum plb_stored_dtype to,
                           void *target, size_t count)
{
    if (from == to) {
        if (count > 0)
            memcpy(target, source, count * formats[from].bytes);
    } else if (from == PLB_STORED_BF16 && to == PLB_STORED_F32) {
        for (size_t i = 0; i < count; i++)
            ((float *)target)[i] = float_of_bf16(PLB_ELEMENT(uint16_t, source, i));
    } else if (from == PLB_STORED_F16 && to == PLB_STORED_F32) {
        for (size_t i = 0; i < count; i++)
            ((float *)target)[i] = float_of_f16(PLB_ELEMENT(uint16_t, source, i));
    } else if (from == PLB_STORED_F32 && to == PLB_STORED_BF16) {
        for (size_t i = 0; i < count; i++)
            ((uint16_t *)target)[i] = bf16_of_float(PLB_ELEMENT(float, source, i));
    } else {
        return false;
    }
    return true;
}

enum plb_status plb_stored_convert(enum plb_stored_dtype from, const void *source,
                                   enum plb_stored_dtype to, void *target, size_t count)
{
    if (!plb_stored_converts(from, to))
        return plb_fail(PLB_ERROR_INVALID, "%s is not converted to %s", formats[from].name,
                        formats[to].name);
    if (convert_common(from, source, to, target, count))
        return PLB_OK;
    if (to == PLB_STORED_I32 || to == PLB_STORED_I64)
        return integers_to_integers(from, source, to, target, count);
    to_reals(from, source, to, target, count);
    return PLB_OK;
}
