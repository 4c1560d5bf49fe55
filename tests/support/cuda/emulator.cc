/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs the threads of a block as fibers.
 *
 * A thread runs until it must wait. It then picks who runs next itself: a lane of its warp that can
 * go on, else one of the next warp, else the caller, who finds out whether all threads stand at the
 * same barrier. A fiber whose thread has ended goes on with a thread that has not begun, so a kernel
 * that never waits is a plain loop on one fiber.
 *
 * Thread-safety: one launch at a time; the rest wait for a lock.
 */
#include "tests/support/cuda/emulator.h"

#include "tests/support/cuda/emulator_control.h"
#include "tests/support/cuda/fibers.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <mutex>

uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

unsigned char *dynamic_shared;

enum { WARP = 32, THREADS_MAX = 1024, WARPS_MAX = THREADS_MAX / WARP, POISON = 0xFF };

enum lane_state { RUNNABLE, AT_BARRIER, AT_EXCHANGE, ENDED };

struct lane {
    struct fiber *fiber; /* NULL: has not begun */
    enum lane_state state;
    int line; /* where it waits */
    bool flag;
    enum exchange kind;
    unsigned mask;
    int argument, width;
    uint64_t value, result;
};

/* The block that runs. */
static struct lane lanes[THREADS_MAX];
static unsigned runnable[WARPS_MAX]; /* a bit per lane */
static int n_threads, n_warps, current;
static uint3 place_of_thread[THREADS_MAX];
static int n_visited, warp_now, warp_stride, turn; /* the order of this round */
static bool backwards;
static int barrier_count;
static const struct job *running;
static char failure[256]; /* the first */

static std::mutex one_at_a_time;

/* ---- order ---- */

static uint64_t random_state;

/* splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). */
static uint64_t draw(void)
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* A stride that visits all of n places: one without a common factor. */
static uint64_t draw_stride(uint64_t n)
{
    for (;;) {
        uint64_t stride = n < 3 ? 1 : 1 + draw() % (n - 1), a = n, b = stride;

        while (b != 0) {
            uint64_t rest = a % b;

            a = b;
            b = rest;
        }
        if (a == 1)
            return stride;
    }
}

static void new_round(void)
{
    uint64_t word = draw();

    n_visited = 0;
    warp_now = (int)(word % (uint64_t)n_warps);
    turn = (int)(word >> 32 & 31);
    backwards = word >> 40 & 1;
    warp_stride = (int)draw_stride((uint64_t)n_warps);
}

/* ---- what went wrong ---- */

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list arguments;

    if (failure[0] != 0)
        return;
    va_start(arguments, format);
    vsnprintf(failure, sizeof failure, format, arguments);
    va_end(arguments);
}

static const char *place(const struct lane *l)
{
    static char text[2][64];
    static int k;

    k = !k;
    if (l->state == ENDED)
        return "has ended";
    snprintf(text[k], sizeof text[k], "waits at %s in line %d",
             l->state == AT_BARRIER    ? "a barrier"
             : l->kind == BALLOT       ? "a vote"
             : l->kind == emulator::SYNC ? "__syncwarp()"
                                       : "a shuffle",
             l->line);
    return text[k];
}

/* Nothing can run, and not all threads wait at one barrier. */
static void fail_stuck(void)
{
    int a = 0, b = 0;

    while (lanes[a].state == ENDED)
        a++;
    for (b = 0; b < n_threads; b++) {
        if (lanes[b].state != lanes[a].state || lanes[b].line != lanes[a].line)
            break;
    }
    if (b == n_threads)
        fail("thread %d %s for lanes that do not come (mask %08x)", a, place(&lanes[a]),
             lanes[a].mask);
    else
        fail("thread %d %s, thread %d %s", a, place(&lanes[a]), b, place(&lanes[b]));
}

/* ---- switching ---- */

static void thread_main(void);

/* A thread that can run, or -1. */
static int pick(void)
{
    while (runnable[warp_now] == 0) {
        if (++n_visited >= n_warps)
            return -1;
        warp_now += warp_stride;
        warp_now -= warp_now >= n_warps ? n_warps : 0;
    }

    unsigned bits = runnable[warp_now];
    unsigned turned = bits >> turn | bits << (-turn & (WARP - 1));
    int k = backwards ? WARP - 1 - __builtin_clz(turned) : __builtin_ctz(turned);

    return warp_now * WARP + (k + turn) % WARP;
}

static void become(int thread)
{
    current = thread;
    threadIdx = place_of_thread[thread];
}

/* Leaves `from` for the thread that is next. */
static void go_on(struct fiber *from)
{
    int next = pick();
    struct fiber *to = NULL;

    if (next >= 0) {
        if (lanes[next].fiber == NULL)
            lanes[next].fiber = fiber_take(thread_main);
        if (lanes[next].fiber != NULL) {
            become(next);
            to = lanes[next].fiber;
        } else {
            fail("no memory for fibers");
        }
    }
    if (to == NULL)
        to = fiber_of_caller();
    if (to != from)
        fiber_switch(from, to);
}

static void wait_at(enum lane_state state, int line)
{
    struct lane *l = &lanes[current];

    l->state = state;
    l->line = line;
    go_on(l->fiber);
}

/* What a fiber does: threads, one after the other. */
static void thread_main(void)
{
    for (;;) {
        struct lane *l = &lanes[current];
        struct fiber *self = l->fiber;
        int next;

        running->thread();
        l = &lanes[current];
        l->state = ENDED;
        runnable[current / WARP] &= ~(1u << current % WARP);
        next = pick();
        if (next >= 0 && lanes[next].fiber == NULL) {
            lanes[next].fiber = self;
            become(next);
            continue;
        }
        fiber_give(self);
        go_on(self);
    }
}

/* ---- barriers ---- */

int barrier(bool value, int line)
{
    lanes[current].flag = value;
    runnable[current / WARP] &= ~(1u << current % WARP);
    wait_at(AT_BARRIER, line);
    return barrier_count;
}

static void all_runnable(void)
{
    for (int w = 0; w < n_warps; w++) {
        int n = n_threads - w * WARP;

        runnable[w] = n >= WARP ? ~0u : (1u << n) - 1;
    }
}

/* All threads stand at one barrier: they go on. False when they do not. */
static bool release_barrier(void)
{
    int count = 0;

    for (int t = 0; t < n_threads; t++) {
        if (lanes[t].state != AT_BARRIER || lanes[t].line != lanes[0].line) {
            fail_stuck();
            return false;
        }
        count += lanes[t].flag;
    }
    for (int t = 0; t < n_threads; t++)
        lanes[t].state = RUNNABLE;
    barrier_count = count;
    all_runnable();
    return true;
}

/* ---- shuffles and votes ---- */

/* The lane that a lane reads, as the programming guide of CUDA defines it ("Warp shuffle
 * functions"); its own where there is none. */
static int source_lane(const struct lane *l, int k)
{
    int begin = k & ~(l->width - 1), source = k;

    switch (l->kind) {
    case SHUFFLE:
        return begin + (l->argument & (l->width - 1));
    case SHUFFLE_UP:
        source = k - l->argument;
        return source < begin ? k : source;
    case SHUFFLE_DOWN:
        source = k + l->argument;
        return source >= begin + l->width ? k : source;
    case SHUFFLE_XOR:
        source = k ^ l->argument;
        return source >= begin + l->width ? k : source;
    default:
        return k;
    }
}

/* All lanes of the mask go on; a value from a lane outside is garbage. */
static void complete(struct lane *warp, enum exchange kind, unsigned mask)
{
    unsigned ballot = 0;

    for (int k = 0; k < WARP && kind == BALLOT; k++)
        ballot |= (mask >> k & 1) && warp[k].value != 0 ? 1u << k : 0;
    for (int k = 0; k < WARP && kind != emulator::SYNC; k++) {
        int source = source_lane(&warp[k], k) & (WARP - 1);

        warp[k].result = kind == BALLOT         ? ballot
                         : (mask >> source & 1) ? warp[source].value
                                                : ~(uint64_t)0;
    }
    for (int k = 0; k < WARP; k++) {
        if (mask >> k & 1)
            warp[k].state = RUNNABLE;
    }
    runnable[current / WARP] |= mask;
}

/* How many lanes wait at the full warp's exchange that its first lane came to. */
static int n_arrived[WARPS_MAX], first_arrived[WARPS_MAX];

static bool same_exchange(const struct lane *a, const struct lane *b)
{
    return a->state == AT_EXCHANGE && a->kind == b->kind && a->mask == b->mask &&
           a->line == b->line;
}

/* Have all lanes of its mask come to the exchange of the current lane? */
static bool all_arrived(const struct lane *l, const struct lane *warp)
{
    int w = current / WARP;

    if (l->mask == ~0u) {
        if (n_arrived[w] == 0)
            first_arrived[w] = current;
        n_arrived[w] += same_exchange(&lanes[first_arrived[w]], l);
        return n_arrived[w] == WARP;
    }
    for (int k = 0; k < WARP; k++) {
        if ((l->mask >> k & 1) && !same_exchange(&warp[k], l))
            return false;
    }
    return true;
}

/* The lane itself, and none that the block has not, must be in its mask. */
static bool check_mask(const struct lane *l)
{
    int lane = current % WARP, n = n_threads - (current - lane);

    if ((l->mask >> lane & 1) && (n >= WARP || l->mask >> n == 0))
        return true;
    fail("thread %d %s with mask %08x, in a warp of %d threads", current, place(l), l->mask,
         n < WARP ? n : WARP);
    return false;
}

uint64_t exchange_values(enum exchange kind, unsigned mask, uint64_t value, int argument, int width,
                         int line)
{
    struct lane *l = &lanes[current], *warp = &lanes[current / WARP * WARP];

    l->kind = kind;
    l->mask = mask;
    l->value = value;
    l->argument = argument;
    l->width = width;
    l->line = line;
    l->state = AT_EXCHANGE;
    runnable[current / WARP] &= ~(1u << current % WARP);
    if (check_mask(l) && all_arrived(l, warp)) {
        n_arrived[current / WARP] = 0;
        complete(warp, kind, mask);
    }
    if (l->state != RUNNABLE || pick() != current)
        wait_at(l->state, line);
    return l->result;
}

/* ---- blocks ---- */

static bool run_block(void)
{
    for (int t = 0; t < n_threads; t++) {
        lanes[t].fiber = NULL;
        lanes[t].state = RUNNABLE;
    }
    memset(n_arrived, 0, sizeof n_arrived);
    all_runnable();
    for (;;) {
        bool ended = true;

        new_round();
        go_on(fiber_of_caller());
        for (int t = 0; t < n_threads && ended; t++)
            ended = lanes[t].state == ENDED;
        if (failure[0] != 0)
            return false;
        if (ended)
            return true;
        if (!release_barrier())
            return false;
    }
}

/* ---- what tests ask for ---- */

static uint64_t seed;
static bool seed_known;
static size_t shared_limit = 227 * 1024;
static void (*watcher)(const struct plb_emulator_launch *launch, void *context);
static void *watcher_context;
static bool dry;

extern "C" void plb_emulator_seed(uint64_t value)
{
    seed = value;
    seed_known = true;
}

extern "C" uint64_t plb_emulator_get_seed(void)
{
    const char *text = getenv("PLB_CUDA_EMULATOR_SEED");

    if (!seed_known)
        plb_emulator_seed(text == NULL ? 1 : strtoull(text, NULL, 10));
    return seed;
}

extern "C" void plb_emulator_set_shared_limit(size_t bytes)
{
    shared_limit = bytes;
}

extern "C" void plb_emulator_watch(void (*each)(const struct plb_emulator_launch *, void *),
                                   void *context, bool run)
{
    watcher = each;
    watcher_context = context;
    dry = each != NULL && !run;
}

/* ---- launches ---- */

static const char *launch_limits(const struct job *job)
{
    uint64_t threads = (uint64_t)job->block.x * job->block.y * job->block.z;

    if (threads == 0 || threads > THREADS_MAX || job->block.z > 64)
        return "threads of a block";
    if (job->grid.x == 0 || job->grid.y == 0 || job->grid.z == 0 || job->grid.x > 0x7fffffff ||
        job->grid.y > 65535 || job->grid.z > 65535)
        return "blocks";
    return job->shared > shared_limit ? "shared memory" : NULL;
}

cudaError_t submit(cudaStream_t stream, const struct job &job)
{
    const char *what = launch_limits(&job);
    struct plb_emulator_launch launch = {job.name,
                                         {job.grid.x, job.grid.y, job.grid.z},
                                         {job.block.x, job.block.y, job.block.z},
                                         job.shared};

    if (watcher != NULL)
        watcher(&launch, watcher_context);
    if (what == NULL)
        return dry ? cudaSuccess : enqueue(stream, job);
    fprintf(stderr, "CUDA emulator: %s: %s: (%u, %u, %u) blocks of (%u, %u, %u), %zu bytes shared\n",
            job.name, what, job.grid.x, job.grid.y, job.grid.z, job.block.x, job.block.y,
            job.block.z, job.shared);
    return cudaErrorInvalidConfiguration;
}

static void number_threads(const struct job &job)
{
    n_threads = (int)(job.block.x * job.block.y * job.block.z);
    n_warps = (n_threads + WARP - 1) / WARP;
    for (unsigned t = 0; t < (unsigned)n_threads; t++)
        place_of_thread[t] = make_uint3(t % job.block.x, t / job.block.x % job.block.y,
                                        t / job.block.x / job.block.y);
}

/* Dynamic shared memory, with a guard behind it; AddressSanitizer has its own. */
enum { GUARD = 64, GUARD_BYTE = 0xA5 };

static bool run_blocks(const struct job &job, unsigned char *shared)
{
    uint64_t n = (uint64_t)job.grid.x * job.grid.y * job.grid.z, first, stride;

    random_state = plb_emulator_get_seed();
    first = draw() % n;
    stride = draw_stride(n);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t b = (first + i * stride) % n;

        blockIdx.x = (unsigned)(b % job.grid.x);
        blockIdx.y = (unsigned)(b / job.grid.x % job.grid.y);
        blockIdx.z = (unsigned)(b / job.grid.x / job.grid.y);
        memset(shared, POISON, job.shared);
        if (job.static_end > job.static_begin)
            memset(job.static_begin, POISON, (size_t)(job.static_end - job.static_begin));
        if (!run_block()) {
            fprintf(stderr, "CUDA emulator: %s: block (%u, %u, %u): %s\n", job.name, blockIdx.x,
                    blockIdx.y, blockIdx.z, failure);
            return false;
        }
    }
    return true;
}

static bool guard_intact(const unsigned char *guard)
{
    for (int k = 0; k < GUARD; k++) {
        if (guard[k] != GUARD_BYTE)
            return false;
    }
    return true;
}

cudaError_t execute(const struct job &job)
{
    std::lock_guard<std::mutex> hold(one_at_a_time);
    void *shared = NULL;
    bool ok;

#ifdef __SANITIZE_ADDRESS__
    const size_t guard = 0;
#else
    const size_t guard = GUARD;
#endif
    if (posix_memalign(&shared, 128, job.shared + guard) != 0)
        return cudaErrorMemoryAllocation;
    memset(static_cast<unsigned char *>(shared) + job.shared, GUARD_BYTE, guard);
    running = &job;
    blockDim = make_uint3(job.block.x, job.block.y, job.block.z);
    gridDim = make_uint3(job.grid.x, job.grid.y, job.grid.z);
    number_threads(job);
    dynamic_shared = static_cast<unsigned char *>(shared);
    failure[0] = 0;
    ok = run_blocks(job, dynamic_shared);
    if (!ok)
        fibers_reset();
    if (ok && guard > 0 && !guard_intact(dynamic_shared + job.shared)) {
        fprintf(stderr, "CUDA emulator: %s writes beyond its %zu bytes of shared memory\n",
                job.name, job.shared);
        ok = false;
    }
    if (ok && !fibers_intact()) {
        fprintf(stderr, "CUDA emulator: %s went beyond the stack of a thread\n", job.name);
        ok = false;
    }
    free(shared);
    return ok ? cudaSuccess : cudaErrorLaunchFailure;
}

} /* namespace emulator */
