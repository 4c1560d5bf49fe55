/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device functions that a host lacks: loads and stores with hints, atomics, bits, and the parts
 * of CUDA's mathematics that neither C nor POSIX knows. A part of emulator.h, not to be included by
 * itself.
 */
#ifndef PLB_TESTS_SUPPORT_CUDA_EMULATOR_MATH_H
#define PLB_TESTS_SUPPORT_CUDA_EMULATOR_MATH_H

/* ---- loads and stores ---- */

template <typename T> static inline T __ldg(const T *from)
{
    return *from;
}

template <typename T> static inline T __ldcs(const T *from)
{
    return *from;
}

template <typename T> static inline T __ldcg(const T *from)
{
    return *from;
}

template <typename T> static inline void __stcs(T *to, T x)
{
    *to = x;
}

template <typename T> static inline void __stcg(T *to, T x)
{
    *to = x;
}

/* ---- atomics, of integers only: those of floating-point numbers have no fixed order ---- */

namespace emulator {

template <typename T, typename F> static inline T exchange_with(T *at, F f)
{
    T old = *at;

    static_assert(std::is_integral<T>::value, "atomics of floating-point numbers are not allowed");
    *at = f(old);
    return old;
}

template <typename T> struct same {
    typedef T type; /* the type follows from the address alone */
};

} /* namespace emulator */

#define PLB_EMULATED_ATOMIC(name, expression)                                          \
    template <typename T> static inline T name(T *at, typename emulator::same<T>::type x) \
    {                                                                                  \
        return emulator::exchange_with(at, [x](T old) { return (T)(expression); });    \
    }
PLB_EMULATED_ATOMIC(atomicAdd, old + x)
PLB_EMULATED_ATOMIC(atomicSub, old - x)
PLB_EMULATED_ATOMIC(atomicMin, old < x ? old : x)
PLB_EMULATED_ATOMIC(atomicMax, old > x ? old : x)
PLB_EMULATED_ATOMIC(atomicAnd, old & x)
PLB_EMULATED_ATOMIC(atomicOr, old | x)
PLB_EMULATED_ATOMIC(atomicXor, old ^ x)
PLB_EMULATED_ATOMIC(atomicExch, ((void)old, x))
#undef PLB_EMULATED_ATOMIC

template <typename T>
static inline T atomicCAS(T *at, typename emulator::same<T>::type expected,
                          typename emulator::same<T>::type x)
{
    return emulator::exchange_with(at, [=](T old) { return old == expected ? x : old; });
}

/* ---- bits ---- */

static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}

static inline int __clz(int x)
{
    return x == 0 ? 32 : __builtin_clz((unsigned)x);
}

static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}

static inline int __popcll(unsigned long long x)
{
    return __builtin_popcountll(x);
}

static inline int __clzll(long long x)
{
    return x == 0 ? 64 : __builtin_clzll((unsigned long long)x);
}

static inline int __ffsll(long long x)
{
    return __builtin_ffsll(x);
}

static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}

static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

namespace emulator {

template <typename T, typename F> static inline T same_bits(F x)
{
    T y;

    static_assert(sizeof(T) == sizeof(F), "of one size");
    memcpy(&y, &x, sizeof y);
    return y;
}

} /* namespace emulator */

static inline float __int_as_float(int x)
{
    return emulator::same_bits<float>(x);
}

static inline float __uint_as_float(unsigned x)
{
    return emulator::same_bits<float>(x);
}

static inline int __float_as_int(float x)
{
    return emulator::same_bits<int>(x);
}

static inline unsigned __float_as_uint(float x)
{
    return emulator::same_bits<unsigned>(x);
}

/* ---- mathematics ---- */

/* Of two numbers of any types, the result is of the common one; of floating-point numbers, one that
 * is not NaN. */
template <typename A, typename B> static inline typename std::common_type<A, B>::type min(A a, B b)
{
    typename std::common_type<A, B>::type x = a, y = b;

    return x != x || y < x ? y : x;
}

template <typename A, typename B> static inline typename std::common_type<A, B>::type max(A a, B b)
{
    typename std::common_type<A, B>::type x = a, y = b;

    return x != x || y > x ? y : x;
}

/* glibc has functions of its own of these names. */
#define __expf(x)     expf(x)
#define __exp10f(x)   exp10f(x)
#define __logf(x)     logf(x)
#define __log2f(x)    log2f(x)
#define __powf(x, y)  powf(x, y)
#define __sinf(x)     sinf(x)
#define __cosf(x)     cosf(x)

static inline float __fdividef(float x, float y)
{
    return x / y;
}

static inline float __fadd_rn(float x, float y)
{
    return x + y;
}

static inline float __fmul_rn(float x, float y)
{
    return x * y;
}

static inline float __fsqrt_rn(float x)
{
    return sqrtf(x);
}

static inline float __fdiv_rn(float x, float y)
{
    return x / y;
}

static inline float __frcp_rn(float x)
{
    return 1.0f / x;
}

static inline int __float2int_rn(float x)
{
    return (int)rintf(x);
}

/* Without instructions for it the C library's fmaf() is slow; through fp64 it is rounded right but
 * for rare ties. Newer C libraries have functions of the other names too. */
namespace emulator {

static inline float fmaf_(float x, float y, float z)
{
    return (float)((double)x * y + z);
}

static inline float rsqrtf_(float x)
{
    return 1.0f / sqrtf(x);
}

static inline double rsqrt_(double x)
{
    return 1.0 / sqrt(x);
}

} /* namespace emulator */

#define fmaf   emulator::fmaf_
#define rsqrtf emulator::rsqrtf_
#define rsqrt  emulator::rsqrt_

static inline float __fmaf_rn(float x, float y, float z)
{
    return fmaf(x, y, z);
}

#endif
