/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device "cuda": an NVIDIA card, its memory and main memory beside it.
 *
 * StarPU's CUDA driver has the worker: one for the card, whose stream kernels are enqueued on
 * (card.h). Memory and copies are the module's (cuda_module.h), on streams apart; StarPU allocates
 * and moves nothing, as on the virtual device.
 *
 * StarPU is told to wait for a task's stream before it goes on (STARPU_CUDA_PIPELINE=0): tasks of a
 * chain, which a step on one worker is, could not overlap anyway. And its way to deal with an error
 * of CUDA's, to end the process, is replaced: starpu_cuda_report_error() is defined here, too, and
 * comes first when a program is linked with this library. A card that fails then fails the
 * session, whose caller hears of it.
 */
#define _GNU_SOURCE
#include "config.h"

#include "runtime/base/bytes.h"
#include "runtime/run/card.h"
#include "runtime/run/device_internal.h"

#ifdef STARPU_USE_CUDA

#include <stdlib.h>

/* Of the memory that is free, what is left to CUDA for its kernels and their stacks. */
#define MARGIN_BYTES ((size_t)512 << 20)
#define MARGIN_SHARE 16

static struct cuda {
    struct plb_device device;
    struct plb__card card;
    size_t held;
} cards[PLB_DEVICES_MAX];

static struct cuda *of(const struct plb_device *device)
{
    return &cards[device->number];
}

/* What StarPU found wrong with the card. */
static int lost;

void starpu_cuda_report_error(const char *function, const char *file, int line, cudaError_t error)
{
    (void)function;
    (void)file;
    (void)line;
    __atomic_store_n(&lost, (int)error, __ATOMIC_RELEASE);
}

enum plb_status plb__card_check(void)
{
    int error = __atomic_load_n(&lost, __ATOMIC_ACQUIRE);

    return error ? plb_fail(PLB_ERROR_DEVICE, "the card failed with CUDA error %d", error) : PLB_OK;
}

struct CUstream_st *plb__card_stream(void)
{
    return starpu_cuda_get_local_stream();
}

/* ---- memory ---- */

static void give(struct plb_block *block)
{
    struct cuda *cuda = block->device ? of(block->device) : NULL;

    if (cuda && block->address)
        cuda->card.module->memory->give(cuda->card.context, block->address);
    if (cuda)
        cuda->held -= block->bytes;
    *block = (struct plb_block){0};
}

static enum plb_status take(const struct plb_device *device, size_t bytes, const char *what,
                            struct plb_block *block_out)
{
    struct cuda *cuda = of(device);
    size_t left = device->bytes - cuda->held;
    struct plb_block block = {.bytes = bytes, .device = device};
    enum plb_status status = PLB_OK;

    if (bytes > left)
        return plb_fail(PLB_ERROR_MEMORY, "%s needs %s; the card has %s, of which %s are taken",
                        what, plb_bytes_text((double)bytes).text,
                        plb_bytes_text((double)device->bytes).text,
                        plb_bytes_text((double)cuda->held).text);
    if (bytes > 0)
        status = cuda->card.module->memory->take(cuda->card.context, bytes, &block.address);
    if (status != PLB_OK)
        return plb_fail_within(status, "%s, %s", what, plb_bytes_text((double)bytes).text);
    cuda->held += bytes;
    *block_out = block;
    return PLB_OK;
}

static size_t held(const struct plb_device *device)
{
    return of(device)->held;
}

static enum plb_status pin(const struct plb_device *device, void *address, size_t bytes)
{
    const struct plb__card *card = &of(device)->card;

    return card->module->memory->pin(card->context, address, bytes);
}

static void unpin(const struct plb_device *device, void *address)
{
    const struct plb__card *card = &of(device)->card;

    card->module->memory->unpin(card->context, address);
}

/* ---- copies ---- */

static enum plb_status copy_out(const struct plb_block *from, size_t offset, void *to, size_t bytes)
{
    const struct plb__card *card = &of(from->device)->card;

    if (bytes == 0)
        return PLB_OK;
    return card->module->memory->copy(card->context, PLB__CUDA_OUT, to,
                                      (const char *)from->address + offset, bytes);
}

static enum plb_status copy_in(const void *from, const struct plb_block *to, size_t offset,
                               size_t bytes)
{
    const struct plb__card *card = &of(to->device)->card;

    if (bytes == 0)
        return PLB_OK;
    return card->module->memory->copy(card->context, PLB__CUDA_IN, (char *)to->address + offset,
                                      from, bytes);
}

static enum plb_status copy_peer(const struct plb_block *from, size_t from_offset,
                                 const struct plb_block *to, size_t to_offset, size_t bytes)
{
    const struct plb__card *source = &of(from->device)->card, *card = &of(to->device)->card;

    if (bytes == 0)
        return PLB_OK;
    return card->module->memory->copy_peer(card->context, (char *)to->address + to_offset,
                                           source->context,
                                           (const char *)from->address + from_offset, bytes);
}

/* ---- starting and stopping ---- */

static size_t usable(const struct plb__cuda_card *card)
{
    size_t margin = card->free_bytes / MARGIN_SHARE;

    return card->free_bytes - (margin < MARGIN_BYTES ? margin : MARGIN_BYTES);
}

static enum plb_status check_wish(const struct plb__device_wish *wish,
                                  const struct plb__cuda_card *card)
{
    if (wish->workers > 1)
        return plb_fail(PLB_ERROR_INVALID, "a CUDA card computes with one worker, not %d",
                        wish->workers);
    if (wish->bytes > usable(card))
        return plb_fail(PLB_ERROR_INVALID,
                        "CUDA card %d (%s) has %s free, and not the %s of memory=", wish->card,
                        card->name, plb_bytes_text((double)usable(card)).text,
                        plb_bytes_text((double)wish->bytes).text);
    return PLB_OK;
}

/* Whatever is wrong with a card is found out here, where StarPU is not yet there to end the
 * process for it. */
static enum plb_status prepare_card(const struct plb__device_wish *wish, uint32_t k,
                                    struct starpu_conf *conf)
{
    struct cuda *cuda = &cards[k];
    struct plb__cuda_card card;

    for (uint32_t other = 0; other < k; other++)
        if (wish[other].card == wish[k].card)
            return plb_fail(PLB_ERROR_INVALID, "CUDA card %d stands twice among the devices",
                            wish[k].card);
    if (k >= STARPU_NMAXWORKERS)
        return plb_fail(PLB_ERROR_INVALID, "StarPU has %d workers at most", STARPU_NMAXWORKERS);
    PLB_TRY(plb__cuda_module_load(&cuda->card.module));
    PLB_TRY(cuda->card.module->cards->describe(wish[k].card, &card));
    PLB_TRY(check_wish(&wish[k], &card));
    conf->workers_cuda_gpuid[k] = (unsigned)wish[k].card;
    return PLB_OK;
}

static enum plb_status prepare(const struct plb__device_wish *wish, uint32_t n,
                               struct starpu_conf *conf)
{
    for (uint32_t k = 0; k < n; k++)
        PLB_TRY(prepare_card(wish, k, conf));
    setenv("STARPU_CUDA_PIPELINE", "0", 1);
    unsetenv("STARPU_WORKERS_CUDAID"); /* meant for others: here they are all ours */
    unsetenv("STARPU_NWORKER_PER_CUDA");
    conf->ncpus = 0;
    conf->nopencl = 0;
    conf->ncuda = (int)n;
    conf->use_explicit_workers_cuda_gpuid = 1;
    lost = 0;
    return PLB_OK;
}

static void stop(void)
{
    for (uint32_t k = 0; k < PLB_DEVICES_MAX; k++) {
        if (cards[k].card.context)
            cards[k].card.module->cards->close(cards[k].card.context);
        cards[k].card.context = NULL;
    }
    unsetenv("STARPU_CUDA_PIPELINE");
}

/* What NVIDIA advises for cublasLt. */
static size_t workspace_bytes(int capability)
{
    return capability >= 90 ? (size_t)32 << 20 : (size_t)4 << 20;
}

static void fill_device(const struct plb__device_wish *wish, const struct plb__cuda_card *card,
                        uint32_t number, int worker)
{
    struct cuda *cuda = &cards[number];

    cuda->held = 0;
    cuda->card.tf32 = wish->tf32;
    cuda->card.capability = card->capability;
    cuda->card.multiprocessors = card->multiprocessors;
    cuda->card.workspace_bytes = workspace_bytes(card->capability);
    cuda->card.measuring = false;
    cuda->device = (struct plb_device){.name = "cuda",
                                       .number = number,
                                       .where = STARPU_CUDA,
                                       .node = starpu_worker_get_memory_node((unsigned)worker),
                                       .workers = 1,
                                       .first_worker = worker,
                                       .grain_seconds = PLB__GRAIN_CUDA,
                                       .ledger = 1,
                                       .bytes = wish->bytes ? wish->bytes : usable(card),
                                       .has_host = true,
                                       .host = {.duplex = true},
                                       .card = &cuda->card,
                                       .take = take,
                                       .give = give,
                                       .held = held,
                                       .pin = pin,
                                       .unpin = unpin,
                                       .copy_out = copy_out,
                                       .copy_in = copy_in,
                                       .copy_peer = copy_peer};
}

static enum plb_status start_card(const struct plb__device_wish *wish, uint32_t number)
{
    int worker = starpu_worker_get_by_type(STARPU_CUDA_WORKER, (int)number);
    struct plb__cuda_card card;
    struct cuda *cuda = &cards[number];

    if (worker < 0)
        return plb_fail(PLB_ERROR_DEVICE, "StarPU started no CUDA worker for card %d", wish->card);
    PLB_TRY(cuda->card.module->cards->open(wish->card, &cuda->card.context));
    PLB_TRY(cuda->card.module->cards->describe(wish->card, &card));
    PLB_TRY(plb__card_check());
    fill_device(wish, &card, number, worker);
    return PLB_OK;
}

static enum plb_status start(const struct plb__device_wish *wish, uint32_t n,
                             struct plb_device **device_out)
{
    for (uint32_t k = 0; k < n; k++) {
        enum plb_status status = start_card(&wish[k], k);

        if (status != PLB_OK) {
            stop();
            return status;
        }
        device_out[k] = &cards[k].device;
    }
    return PLB_OK;
}

#else

static enum plb_status prepare(const struct plb__device_wish *wish, uint32_t n,
                               struct starpu_conf *conf)
{
    (void)wish;
    (void)n;
    (void)conf;
    return plb_fail(PLB_ERROR_UNAVAILABLE,
                    "a CUDA card needs a StarPU with CUDA, and there was none when Palombe was "
                    "built (scripts/starpu builds one where the CUDA toolkit is)");
}

static enum plb_status start(const struct plb__device_wish *wish, uint32_t n,
                             struct plb_device **device_out)
{
    (void)device_out;
    return prepare(wish, n, NULL);
}

static void stop(void)
{
}

enum plb_status plb__card_check(void)
{
    return PLB_OK;
}

struct CUstream_st *plb__card_stream(void)
{
    return NULL;
}

#endif

const struct plb__device_kind plb__device_cuda = {
    .name = "cuda", .prepare = prepare, .start = start, .stop = stop};
