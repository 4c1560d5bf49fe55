/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The carrier between devices of one process: in whichever order the ends come the bytes go over,
 * steps do not mix, and nobody waits for bytes that cannot be carried.
 */
#include "config.h"

#include "tests/support/plb_test.h"

#include "runtime/run/ledger.h"
#include "runtime/run/transfer.h"

#include <pthread.h>
#include <string.h>

enum { BYTES = 64, ENDS = 4 };

/* ---- two devices of main memory, of which one may fail ---- */

static bool broken; /* set while no end is posted */

static enum plb_status copy_out(const struct plb_block *from, size_t offset, void *to, size_t bytes)
{
    if (broken)
        return plb_fail(PLB_ERROR_DEVICE, "the device is broken");
    memcpy(to, (const char *)from->address + offset, bytes);
    return PLB_OK;
}

static enum plb_status copy_in(const void *from, const struct plb_block *to, size_t offset,
                               size_t bytes)
{
    memcpy((char *)to->address + offset, from, bytes);
    return PLB_OK;
}

static const struct plb_device devices[2] = {
    {.name = "a", .number = 0, .has_host = true, .copy_out = copy_out, .copy_in = copy_in},
    {.name = "b", .number = 1, .has_host = true, .copy_out = copy_out, .copy_in = copy_in},
};

/* ---- ends that can be waited for ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;

static struct side {
    struct plb__end end;
    struct plb_block block;
    char bytes[BYTES];
    bool done;
    enum plb_status status;
} sides[ENDS];

static void done(struct plb__end *end, enum plb_status status)
{
    struct side *side = end->owner;

    pthread_mutex_lock(&lock);
    side->done = true;
    side->status = status;
    pthread_cond_broadcast(&told);
    pthread_mutex_unlock(&lock);
}

static void post(struct plb__carrier *carrier, int k, bool sends, uint64_t step)
{
    struct side *side = &sides[k];

    *side = (struct side){.block = {.address = side->bytes,
                                    .bytes = BYTES,
                                    .device = &devices[sends ? 0 : 1]}};
    memset(side->bytes, sends ? 'A' + (int)step : '-', BYTES);
    side->end = (struct plb__end){.step = step,
                                  .sends = sends,
                                  .block = &side->block,
                                  .bytes = BYTES,
                                  .done = done,
                                  .owner = side};
    carrier->post(carrier, &side->end);
}

static enum plb_status wait_for(int k)
{
    pthread_mutex_lock(&lock);
    while (!sides[k].done)
        pthread_cond_wait(&told, &lock);
    pthread_mutex_unlock(&lock);
    return sides[k].status;
}

static struct plb__carrier *create(void)
{
    static struct plb_transfer transfer = {.bytes = BYTES, .from = 0, .to = 1};
    const struct plb_spread spread = {.n_parts = 2, .n_transfers = 1, .transfer = &transfer};
    struct plb__carrier *carrier = NULL;

    PLB_REQUIRE(plb__carrier_local(&spread, &carrier) == PLB_OK);
    return carrier;
}

static void destroy(struct plb__carrier *carrier)
{
    struct plb_ledger ledger;

    carrier->destroy(carrier);
    plb_ledger_get(0, &ledger);
    PLB_CHECK_EQ(ledger.now[PLB_ROLE_ACTIVATION], 0);
}

/* ---- tests ---- */

static void a_send_does_not_wait(void)
{
    struct plb__carrier *carrier = create();

    post(carrier, 0, true, 0);
    PLB_CHECK_EQ(wait_for(0), PLB_OK);
    post(carrier, 1, true, 1);
    PLB_CHECK_EQ(wait_for(1), PLB_OK);
    post(carrier, 2, false, 1);
    post(carrier, 3, false, 0);
    PLB_CHECK_EQ(wait_for(2), PLB_OK);
    PLB_CHECK_EQ(wait_for(3), PLB_OK);
    PLB_CHECK_EQ(sides[2].bytes[BYTES - 1], 'B');
    PLB_CHECK_EQ(sides[3].bytes[BYTES - 1], 'A');
    destroy(carrier);
}

static void a_receive_waits(void)
{
    struct plb__carrier *carrier = create();

    post(carrier, 0, false, 0);
    post(carrier, 1, false, 1);
    post(carrier, 2, true, 1);
    PLB_CHECK_EQ(wait_for(1), PLB_OK);
    PLB_CHECK(!sides[0].done);
    post(carrier, 3, true, 0);
    PLB_CHECK_EQ(wait_for(0), PLB_OK);
    PLB_CHECK_EQ(sides[0].bytes[0], 'A');
    PLB_CHECK_EQ(sides[1].bytes[0], 'B');
    PLB_CHECK_EQ(wait_for(2), PLB_OK);
    PLB_CHECK_EQ(wait_for(3), PLB_OK);
    destroy(carrier);
}

/* The send hears of it; its receive, and one of another step, do not wait for ever. */
static void a_broken_device(void)
{
    struct plb__carrier *carrier = create();

    broken = true;
    post(carrier, 0, false, 1);
    post(carrier, 1, true, 0);
    PLB_CHECK_EQ(wait_for(1), PLB_ERROR_DEVICE);
    post(carrier, 2, false, 0);
    PLB_CHECK_EQ(wait_for(2), PLB_OK);
    PLB_CHECK_EQ(wait_for(0), PLB_OK);
    PLB_CHECK_EQ(sides[2].bytes[0], '-');
    broken = false;
    destroy(carrier);
}

static void abandoned(void)
{
    struct plb__carrier *carrier = create();

    post(carrier, 0, true, 0);
    PLB_CHECK_EQ(wait_for(0), PLB_OK);
    post(carrier, 1, false, 1);
    carrier->abandon(carrier);
    PLB_CHECK_EQ(wait_for(1), PLB_OK);
    post(carrier, 2, false, 0);
    PLB_CHECK_EQ(wait_for(2), PLB_OK);
    PLB_CHECK_EQ(sides[2].bytes[0], '-');
    destroy(carrier);
}

PLB_TEST_MAIN("runtime/run/transfer", NULL, NULL, PLB_TEST(a_send_does_not_wait),
              PLB_TEST(a_receive_waits), PLB_TEST(a_broken_device), PLB_TEST(abandoned))
