/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * malloc and its family for test programs: libc's own, but the n-th call of a thread can be made to
 * fail. The definitions stand in the program, so libraries that it is linked with use them too.
 * Nothing of this is compiled under sanitizers, which bring an allocator of their own.
 */
#include "config.h"

#include "tests/support/plb_test.h"

#include <errno.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLB_TEST_OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PLB_TEST_OWN_MALLOC 0
#endif
#endif
#if !defined(PLB_TEST_OWN_MALLOC) && defined(__GLIBC__)
#define PLB_TEST_OWN_MALLOC 1
#endif

/* Calls until the failing one; 0: none fails. */
static _Thread_local long countdown;
static _Thread_local bool fired;

void plb_test_alloc_fail_at(long n)
{
    fired = false;
    countdown = n;
}

bool plb_test_alloc_stop(void)
{
    countdown = 0;
    return fired;
}

#if PLB_TEST_OWN_MALLOC

/* glibc keeps its allocator reachable under these names for exactly this use. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

bool plb_test_alloc_available(void)
{
    return true;
}

static bool must_fail(void)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    fired = true;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return must_fail() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **memory_out, size_t alignment, size_t size)
{
    void *memory;

    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    memory = must_fail() ? NULL : __libc_memalign(alignment, size);
    if (!memory)
        return ENOMEM;
    *memory_out = memory;
    return 0;
}

#else

bool plb_test_alloc_available(void)
{
    return false;
}

#endif
