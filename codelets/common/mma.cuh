/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The instructions of a card that C++ has no words for: products of small matrices by tensor cores,
 * the loads that bring their operands into registers, copies to shared memory that run beside the
 * kernel, and the exponential as the hardware has it.
 *
 * A matrix operand of a warp is spread over its lanes as the tables of the PTX ISA say ("Matrix
 * fragments for mma.m16n8k16"): with g = lane / 4 and t = lane % 4, a lane holds
 *
 *   A, 16 x 16:  (g, 2t) and (g, 2t+1) in a[0], (g+8, 2t) and (g+8, 2t+1) in a[1],
 *                (g, 2t+8) and (g, 2t+9) in a[2], (g+8, 2t+8) and (g+8, 2t+9) in a[3]
 *
 *   B, 16 x 8:   (2t, g) and (2t+1, g) in b[0], (2t+8, g) and (2t+9, g) in b[1]
 *
 *   C, 16 x 8:   (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1) in c[0] to c[3]
 *
 * the first of two bf16 in the lower half of a word. So C, rounded, is A of a product that follows.
 *
 * Under PLB_CUDA_EMULATED each is written out in C++ with the same meaning, so that the arithmetic
 * of indices around them is tested without a card. All 32 lanes must reach each of the first three.
 * Copies are made as late as they may be, at the wait, so that a wait or barrier that is missing
 * shows.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_MMA_CUH
#define PLB_CODELETS_COMMON_MMA_CUH

#include "codelets/common/kernel.cuh"

/* Two floats as two bf16 in a word, `low` in the lower half. */
__device__ __forceinline__ uint32_t plb_pack_bf16(float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t word;

    memcpy(&word, &pair, sizeof word);
    return word;
}

#ifndef PLB_CUDA_EMULATED

/* c += a b, bf16 to fp32. Volatile, as all that a warp does together: it must not move to where the
 * lanes have parted. */
__device__ __forceinline__ void plb_mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                             uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* An address in shared memory, as the instructions below take it. */
typedef uint32_t plb_shared_address;

/* That of `shared`. The compiler cannot see that it is the same in each turn of a loop: otherwise
 * it keeps all sums of it and constants in registers, where the instructions would add them for
 * nothing. */
__device__ __forceinline__ plb_shared_address plb_address_of(const void *shared)
{
    plb_shared_address address = (uint32_t)__cvta_generic_to_shared(shared);

    asm volatile("mov.b32 %0, %0;" : "+r"(address));
    return address;
}

/* Four matrices of 8 x 8 elements of 16 bits from shared memory. Lane 8 i + j gives the address of
 * row j of matrix i, 16 bytes, 16-aligned. A lane gets elements (g, 2t), (g, 2t+1) of matrix i in
 * r[i]. */
__device__ __forceinline__ void plb_load_matrices(uint32_t (&r)[4], plb_shared_address row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

/* The same, but a lane gets elements (2t, g), (2t+1, g). */
__device__ __forceinline__ void plb_load_matrices_transposed(uint32_t (&r)[4],
                                                             plb_shared_address row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

/* Begins to copy 16 bytes to shared memory, both addresses 16-aligned; zeros when not `real`, where
 * `from` is not read. */
__device__ __forceinline__ void plb_copy_begin(plb_shared_address to, const void *from, bool real)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(to), "l"(from), "r"(real ? 16 : 0)
                 : "memory");
}

/* Waits for the copies that this thread began. Others see them after the next barrier. */
__device__ __forceinline__ void plb_copy_wait(void)
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

/* 2^x within 2 units in the last place; results below 2^-126 are zero. */
__device__ __forceinline__ float plb_exp2(float x)
{
    float y;

    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#else

#include <stdio.h>
#include <stdlib.h>

typedef uintptr_t plb_shared_address;

static inline plb_shared_address plb_address_of(const void *shared)
{
    return (plb_shared_address)shared;
}

namespace emulator {

/* What the lanes of a warp show each other: operands as matrices, in fp32, by warp; and addresses
 * of rows, by thread. There are two of each, taken in turn, so that one meeting of the lanes is
 * enough: a lane that is ahead writes what the others do not read any more. */
static float left[2][PLB_BLOCK_MAX / PLB_WARP][16][16], right[2][PLB_BLOCK_MAX / PLB_WARP][16][8];
static const uint16_t *rows[2][PLB_BLOCK_MAX];
static unsigned char turns[PLB_BLOCK_MAX];

static inline int turn_of_thread(void)
{
    return turns[threadIdx.x] ^= 1;
}

static inline float half_of(uint32_t word, int i)
{
    uint32_t bits = i == 0 ? word << 16 : word & 0xffff0000u;
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Copies that were begun and not waited for, by thread. */
struct copy {
    void *to;
    const void *from;
    bool real;
};

enum { COPIES_MAX = 256 };
static copy copies[PLB_BLOCK_MAX][COPIES_MAX];
static int n_copies[PLB_BLOCK_MAX];

static inline void misuse(const char *what)
{
    fprintf(stderr, "mma.cuh: %s\n", what);
    abort();
}

/* Shows a row's address; those of this warp. */
static inline const uint16_t **show_row(plb_shared_address row)
{
    const uint16_t **all = rows[turn_of_thread()];

    if (row % 16 != 0)
        misuse("a row of a matrix is not 16-aligned");
    all[threadIdx.x] = (const uint16_t *)row;
    __syncwarp();
    return all + threadIdx.x / PLB_WARP * PLB_WARP;
}

} /* namespace emulator */

static inline void plb_mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    int g = threadIdx.x % PLB_WARP / 4, t = threadIdx.x % 4, warp = threadIdx.x / PLB_WARP;
    int turn = emulator::turn_of_thread();
    float(*left)[16] = emulator::left[turn][warp], (*right)[8] = emulator::right[turn][warp];

    for (int e = 0; e < 2; e++) {
        for (int i = 0; i < 4; i++)
            left[g + i % 2 * 8][2 * t + i / 2 * 8 + e] = emulator::half_of(a[i], e);
        right[2 * t + e][g] = emulator::half_of(b0, e);
        right[2 * t + 8 + e][g] = emulator::half_of(b1, e);
    }
    __syncwarp();
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 16; k++)
            c[i] += left[g + i / 2 * 8][k] * right[k][2 * t + i % 2];
    }
}

static inline void plb_load_matrices(uint32_t (&r)[4], plb_shared_address row)
{
    int g = threadIdx.x % PLB_WARP / 4, t = threadIdx.x % 4;
    const uint16_t **rows = emulator::show_row(row);

    for (int m = 0; m < 4; m++)
        r[m] = rows[m * 8 + g][2 * t] | (uint32_t)rows[m * 8 + g][2 * t + 1] << 16;
}

static inline void plb_load_matrices_transposed(uint32_t (&r)[4], plb_shared_address row)
{
    int g = threadIdx.x % PLB_WARP / 4, t = threadIdx.x % 4;
    const uint16_t **rows = emulator::show_row(row);

    for (int m = 0; m < 4; m++)
        r[m] = rows[m * 8 + 2 * t][g] | (uint32_t)rows[m * 8 + 2 * t + 1][g] << 16;
}

static inline void plb_copy_begin(plb_shared_address to, const void *from, bool real)
{
    int *n = &emulator::n_copies[threadIdx.x];

    if ((to | (uintptr_t)from) % 16 != 0)
        emulator::misuse("a copy to shared memory is not 16-aligned");
    if (*n == emulator::COPIES_MAX)
        emulator::misuse("too many copies to shared memory at a time");
    emulator::copies[threadIdx.x][(*n)++] = emulator::copy{(void *)to, from, real};
}

static inline void plb_copy_wait(void)
{
    int *n = &emulator::n_copies[threadIdx.x];

    for (int i = 0; i < *n; i++) {
        const emulator::copy *copy = &emulator::copies[threadIdx.x][i];

        if (copy->real)
            memcpy(copy->to, copy->from, 16);
        else
            memset(copy->to, 0, 16);
    }
    *n = 0;
}

static inline float plb_exp2(float x)
{
    float y = exp2f(x);

    return y < 0x1p-126f ? 0.0f : y;
}

#endif

#endif
