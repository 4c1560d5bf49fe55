/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operands to the card, the kernel, results back, twice.
 */
#include "config.h"

#include "tests/codelets/cuda_runner.h"

#include "runtime/run/cuda_module.h"
#include "tests/support/plb_test.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX       1024 /* of all operands of a call */
#define GUARD           256  /* keeps what follows it aligned */
#define GUARD_BYTE      0xA5
#define TAG             7
#define LARGE           2000 /* elements of outputs */
#define WORKSPACE_BYTES ((size_t)8 << 20)

/* AddressSanitizer watches the end of a block itself, to the byte. */
#ifdef __SANITIZE_ADDRESS__
#define GUARD_AFTER 0
#else
#define GUARD_AFTER GUARD
#endif

/* Memory of the host that the card has a copy of. */
struct mirror {
    unsigned char *host;
    size_t bytes;
    unsigned char *device;           /* the guard before it */
    unsigned char *sent, *made[2];   /* with guards; made by the first run, by the second */
};

static const struct plb__cuda_module *module;
static struct plb__cuda_context *context;
static void *library;
static struct CUstream_st *stream;
static unsigned long long *fault;
static void *workspace;
static void (*set_seed)(uint64_t seed);
static int (*synchronize)(struct CUstream_st *stream);

static struct mirror mirrors[PARTS_MAX];
static int n_mirrors;
static struct plb_tensor parts[PARTS_MAX];
static int n_parts;

void *cuda_runner_symbol(const char *name)
{
    return dlsym(library, name);
}

bool cuda_runner_wait(const struct plb_cuda_queue *queue)
{
    return synchronize(queue->stream) == 0;
}

const struct plb_cuda_operator *cuda_runner_operator(const char *name)
{
    return module->work->find(name);
}

bool cuda_runner_emulated(void)
{
    return set_seed != NULL;
}

/* --- memory ----------------------------------------------------------------------------------- */

static size_t whole(const struct mirror *m)
{
    return GUARD + m->bytes + GUARD_AFTER;
}

static enum plb_status mirror_make(struct mirror *m, void *host, size_t bytes)
{
    *m = (struct mirror){.host = host, .bytes = bytes};
    m->sent = malloc(whole(m));
    m->made[0] = malloc(whole(m));
    m->made[1] = malloc(whole(m));
    if (m->sent == NULL || m->made[0] == NULL || m->made[1] == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for an operand");
    memset(m->sent, GUARD_BYTE, whole(m));
    memcpy(m->sent + GUARD, host, bytes);
    return module->memory->take(context, whole(m), (void **)&m->device);
}

static void mirrors_release(void)
{
    for (int k = 0; k < n_mirrors; k++) {
        module->memory->give(context, mirrors[k].device);
        free(mirrors[k].sent);
        free(mirrors[k].made[0]);
        free(mirrors[k].made[1]);
    }
    n_mirrors = n_parts = 0;
}

/* The card's address of memory of the host; what is shared there is shared here. */
static enum plb_status mirror_of(void *host, size_t bytes, void **device_out)
{
    struct mirror *m = mirrors;

    while (m < mirrors + n_mirrors && m->host != host)
        m++;
    if (m == mirrors + n_mirrors) {
        if (n_mirrors == PARTS_MAX)
            return plb_fail(PLB_ERROR_INTERNAL, "too many parts");
        n_mirrors++;
        PLB_TRY(mirror_make(m, host, bytes));
    }
    *device_out = m->device + GUARD;
    return PLB_OK;
}

static bool guarded(const struct mirror *m, const unsigned char *made)
{
    for (size_t k = 0; k < GUARD; k++) {
        if (made[k] != GUARD_BYTE ||
            (GUARD_AFTER > k && made[GUARD + m->bytes + k] != GUARD_BYTE))
            return false;
    }
    return true;
}

/* --- a call ----------------------------------------------------------------------------------- */

static enum plb_status translate(const struct plb_operand *from, int n, struct plb_operand *to)
{
    for (int k = 0; k < n; k++) {
        to[k] = from[k];
        to[k].part = &parts[n_parts];
        for (int j = 0; j < from[k].n_parts; j++) {
            struct plb_tensor *part = &parts[n_parts++];

            *part = from[k].part[j];
            PLB_TRY(mirror_of(part->data,
                              (size_t)plb_shape_elements(&part->shape) *
                                  plb_dtype_bytes(part->dtype),
                              &part->data));
        }
    }
    return PLB_OK;
}

static enum plb_status check_fault(const char *name)
{
    unsigned long long word;

    PLB_TRY(module->memory->copy(context, PLB__CUDA_ASIDE, &word, fault, sizeof word));
    if (word == ~0ULL)
        return PLB_OK;
    PLB_CHECK_EQ(word >> 32, TAG);
    return plb_fail(PLB_ERROR_INVALID, "%s: an index in row %u", name, (unsigned)word);
}

void cuda_runner_queue(struct plb_cuda_queue *queue_out)
{
    module->work->queue(context, stream, queue_out);
    queue_out->workspace = workspace;
    queue_out->workspace_bytes = WORKSPACE_BYTES;
    queue_out->fault = fault;
    queue_out->tag = TAG;
}

/* Runs the kernel once; k: the first or the second time. */
static enum plb_status run_once(const struct plb_cuda_operator *op, const struct plb_call *call,
                                int k)
{
    const unsigned long long none = ~0ULL;
    struct plb_cuda_queue queue;

    cuda_runner_queue(&queue);
    if (k == 1)
        queue.multiprocessors = 7;
    if (set_seed != NULL)
        set_seed(1 + 1000 * (uint64_t)k);
    PLB_TRY(module->memory->copy(context, PLB__CUDA_IN, fault, &none, sizeof none));
    for (int i = 0; i < n_mirrors; i++)
        PLB_TRY(module->memory->copy(context, PLB__CUDA_IN, mirrors[i].device, mirrors[i].sent,
                                     whole(&mirrors[i])));
    PLB_TRY(op->run(call, &queue));
    if (synchronize(stream) != 0)
        return plb_fail(PLB_ERROR_DEVICE, "%s: the kernel failed", op->name);
    for (int i = 0; i < n_mirrors; i++)
        PLB_TRY(module->memory->copy(context, PLB__CUDA_OUT, mirrors[i].made[k], mirrors[i].device,
                                     whole(&mirrors[i])));
    return check_fault(op->name);
}

/* Scratch memory may hold anything. */
static void collect(const char *name, int times, const void *scratch)
{
    for (int i = 0; i < n_mirrors; i++) {
        const struct mirror *m = &mirrors[i];
        bool intact = guarded(m, m->made[0]) && guarded(m, m->made[times - 1]);
        bool same = m->host == scratch || memcmp(m->made[0], m->made[times - 1], whole(m)) == 0;

        if (!intact)
            fprintf(stderr, "%s wrote beyond an operand on the card\n", name);
        if (!same)
            fprintf(stderr, "%s made other bits in another order\n", name);
        PLB_CHECK(intact && same);
        memcpy(m->host, m->made[0] + GUARD, m->bytes);
    }
}

/* A part of a large task is run once; the whole task was run twice before. */
static int times_of(const struct plb_call *call)
{
    int64_t elements = 0, made = 0;

    for (int k = 0; k < call->n_out; k++) {
        if (call->out[k].n_parts > 0) {
            elements += plb_shape_elements(&call->out[k].whole);
            made += plb_shape_elements(&call->out[k].part[0].shape);
        }
    }
    return elements < LARGE || made == elements ? 2 : 1;
}

static enum plb_status run_call(const struct plb_cuda_operator *op, const struct plb_call *call,
                                size_t scratch)
{
    int times = times_of(call);
    struct plb_operand in[PLB_OPERANDS_MAX], out[PLB_OPERANDS_MAX];
    struct plb_call there = *call;

    PLB_TRY(translate(call->in, call->n_in, in));
    PLB_TRY(translate(call->out, call->n_out, out));
    there.in = in;
    there.out = out;
    there.scratch = NULL;
    if (scratch > 0)
        PLB_TRY(mirror_of(call->scratch, scratch, &there.scratch));
    for (int k = 0; k < times; k++)
        PLB_TRY(run_once(op, &there, k));
    collect(op->name, times, scratch > 0 ? call->scratch : NULL);
    return PLB_OK;
}

static enum plb_status run(const struct plb_operator *op, const struct plb_call *call,
                           size_t scratch)
{
    const struct plb_cuda_operator *cuda = cuda_runner_operator(op->name);
    enum plb_status status;

    if (cuda == NULL)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "%s has no CUDA kernel", op->name);
    status = run_call(cuda, call, scratch);
    mirrors_release();
    return status;
}

static size_t scratch_of(const struct plb_operator *op, const struct plb_task_types *types)
{
    const struct plb_cuda_operator *cuda = cuda_runner_operator(op->name);

    return cuda != NULL && cuda->scratch != NULL ? cuda->scratch(types) : 0;
}

/* The library of products may choose another algorithm for another number of rows. */
static bool same_bits(const struct plb_operator *op)
{
    return cuda_runner_emulated() ||
           (strncmp(op->name, "linear", 6) != 0 && strncmp(op->name, "conv2d", 6) != 0);
}

/* Tensor cores take the probabilities of attention, and their gradients, in bf16. */
static double rounding(const struct plb_operator *op, enum plb_dtype dtype)
{
    return dtype == PLB_BF16 && strncmp(op->name, "attention", 9) == 0 ? 0x1p-8 : 0;
}

static const struct pieces_runner runner = {
    .gathers = true,
    .aligned = true,
    .cheap_flops = 3e4,
    .same_bits = same_bits,
    .rounding = rounding,
    .scratch = scratch_of,
    .run = run,
};

/* --- the module ------------------------------------------------------------------------------- */

/* Without a card the module is the emulated one: such a program is linked with the runtime for it. */
static void choose_module(void)
{
    const char *build = getenv("PLB_TEST_BUILDDIR");
    char path[4096];

    *(void **)&set_seed = dlsym(RTLD_DEFAULT, "plb_emulator_seed");
    if (set_seed == NULL)
        return;
    snprintf(path, sizeof path, "%s/tests/support/cuda/.libs/libpalombe_cuda_emulated.so",
             build != NULL ? build : ".");
    setenv("PALOMBE_CUDA_MODULE", path, 1);
}

/* CUDA is reached through the module: the library is not linked with it. */
static enum plb_status open_library(void)
{
    int (*create)(struct CUstream_st **stream);
    Dl_info where;

    if (dladdr(module, &where) == 0)
        return plb_fail(PLB_ERROR_INTERNAL, "the module cannot be found");
    library = dlopen(where.dli_fname, RTLD_NOW);
    if (library == NULL)
        return plb_fail(PLB_ERROR_INTERNAL, "%s", dlerror());
    *(void **)&create = cuda_runner_symbol("cudaStreamCreate");
    *(void **)&synchronize = cuda_runner_symbol("cudaStreamSynchronize");
    if (create == NULL || synchronize == NULL || create(&stream) != 0)
        return plb_fail(PLB_ERROR_DEVICE, "no stream can be made");
    return PLB_OK;
}

static enum plb_status open_card(void)
{
    choose_module();
    PLB_TRY(plb__cuda_module_load(&module));
    PLB_TRY(module->cards->open(0, &context));
    PLB_TRY(open_library());
    PLB_TRY(module->memory->take(context, sizeof *fault, (void **)&fault));
    return module->memory->take(context, WORKSPACE_BYTES, &workspace);
}

const struct pieces_runner *cuda_runner_open(void)
{
    enum plb_status status = open_card();

    if (status == PLB_OK)
        return &runner;
    fprintf(stderr, "no card: %s\n", plb_error_message());
    return NULL;
}

void cuda_runner_close(void)
{
    int (*destroy)(struct CUstream_st *stream);

    if (context == NULL)
        return;
    module->memory->give(context, fault);
    module->memory->give(context, workspace);
    *(void **)&destroy = cuda_runner_symbol("cudaStreamDestroy");
    destroy(stream);
    module->cards->close(context);
    dlclose(library);
    context = NULL;
}

int cuda_runner_setup(void)
{
    const struct pieces_runner *opened = cuda_runner_open();

#ifdef __SANITIZE_THREAD__
    /* All of it is on one thread: nothing for this sanitizer to see, which takes minutes not to. */
    setenv("PLB_TEST_CASE", "add", 0);
#endif
    if (opened != NULL)
        pieces_use(opened);
    return opened == NULL;
}

int cuda_runner_teardown(void)
{
    cuda_runner_close();
    return 0;
}
