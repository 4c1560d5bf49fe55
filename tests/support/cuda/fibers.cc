/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fibers; the switch itself is ten instructions on x86-64, and swapcontext() elsewhere.
 */
#include "tests/support/cuda/fibers.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef __x86_64__
#include <ucontext.h>
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {

/* Stacks lie one after the other. The odd distance keeps what all fibers touch from falling on the
 * same lines of the cache. Under sanitizers frames are larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK = 256 * 1024 };
#else
enum { STACK = 64 * 1024 };
#endif
enum { DISTANCE = STACK + 17 * 64, FIBERS_MAX = 1100, GUARD = 16 };

struct fiber {
#ifdef __x86_64__
    void *stack_pointer;
#else
    ucontext_t context;
#endif
    unsigned char *stack;
    size_t bytes;
    void *fake_stack; /* AddressSanitizer's */
    struct fiber *next;
    struct fiber *next_used; /* since fibers_intact(), when `used` */
    bool used;
};

static const uint64_t GUARD_WORD = 0x5A5A5A5A5A5A5A5Au;

static struct fiber all[FIBERS_MAX], caller;
static int n_all;
static struct fiber *idle, *used;
static unsigned char *stacks;
static void (*fiber_main)(void);

/* ---- the switch ---- */

static struct fiber *left; /* by the switch under way */

/* AddressSanitizer must know on which stack it is; it says where the caller's lies. */
static void leave(struct fiber *from, struct fiber *to)
{
    left = from;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->bytes);
#else
    (void)to;
#endif
}

static void arrive(struct fiber *here)
{
#ifdef __SANITIZE_ADDRESS__
    const void *bottom;
    size_t bytes;

    __sanitizer_finish_switch_fiber(here == NULL ? NULL : here->fake_stack, &bottom, &bytes);
    left->stack = static_cast<unsigned char *>(const_cast<void *>(bottom));
    left->bytes = bytes;
#else
    (void)here;
#endif
}

static void first_arrival(void);

#ifdef __x86_64__
extern "C" void plb_emulator_switch(void **from, void *to);

/* Keeps what a function must preserve on the stack that is left. */
asm(".text\n"
    ".p2align 4\n"
    ".hidden plb_emulator_switch\n"
    ".globl plb_emulator_switch\n"
    ".type plb_emulator_switch, @function\n"
    "plb_emulator_switch:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size plb_emulator_switch, .-plb_emulator_switch\n");

static void prepare(struct fiber *f)
{
    void **top = reinterpret_cast<void **>(((uintptr_t)f->stack + f->bytes) & ~(uintptr_t)63);

    /* An address to return to that is none, the entry, and six registers. */
    *--top = nullptr;
    *--top = reinterpret_cast<void *>(first_arrival);
    for (int k = 0; k < 6; k++)
        *--top = nullptr;
    f->stack_pointer = top;
}

static inline void jump(struct fiber *from, struct fiber *to)
{
    plb_emulator_switch(&from->stack_pointer, to->stack_pointer);
}
#else
static void prepare(struct fiber *f)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = f->bytes;
    f->context.uc_link = NULL;
    makecontext(&f->context, first_arrival, 0);
}

static inline void jump(struct fiber *from, struct fiber *to)
{
    swapcontext(&from->context, &to->context);
}
#endif

static void first_arrival(void)
{
    arrive(NULL);
    fiber_main();
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
    leave(from, to);
    jump(from, to);
    arrive(from);
}

struct fiber *fiber_of_caller(void)
{
    return &caller;
}

/* ---- the pool ---- */

static void set_guard(struct fiber *f)
{
    uint64_t *words = reinterpret_cast<uint64_t *>(f->stack);

    for (int k = 0; k < GUARD; k++)
        words[k] = GUARD_WORD;
}

static bool make_one(void)
{
    struct fiber *f;

    if (stacks == NULL) {
        void *memory = mmap(NULL, (size_t)FIBERS_MAX * DISTANCE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (memory == MAP_FAILED)
            return false;
        stacks = static_cast<unsigned char *>(memory);
    }
    if (n_all == FIBERS_MAX)
        return false;
    f = &all[n_all];
    f->stack = stacks + (size_t)n_all * DISTANCE;
    f->bytes = STACK;
    set_guard(f);
    prepare(f);
    f->next = idle;
    idle = f;
    n_all++;
    return true;
}

struct fiber *fiber_take(void (*main)(void))
{
    struct fiber *f;

    fiber_main = main;
    if (idle == NULL && !make_one())
        return NULL;
    f = idle;
    idle = f->next;
    if (!f->used) {
        f->used = true;
        f->next_used = used;
        used = f;
    }
    return f;
}

void fiber_give(struct fiber *fiber)
{
    fiber->next = idle;
    idle = fiber;
}

bool fibers_intact(void)
{
    bool intact = true;

    for (; used != NULL; used = used->next_used) {
        const uint64_t *words = reinterpret_cast<const uint64_t *>(used->stack);

        used->used = false;
        for (int k = 0; k < GUARD; k++)
            intact = intact && words[k] == GUARD_WORD;
    }
    return intact;
}

void fibers_reset(void)
{
    idle = NULL;
    for (int k = 0; k < n_all; k++) {
#ifdef __SANITIZE_ADDRESS__
        __asan_unpoison_memory_region(all[k].stack, all[k].bytes);
#endif
        set_guard(&all[k]);
        all[k].fake_stack = NULL;
        prepare(&all[k]);
        fiber_give(&all[k]);
    }
}

} /* namespace emulator */
