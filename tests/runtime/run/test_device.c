/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is true of devices without starting one: the text that names them, and the arithmetic of a
 * paced link, on times that the test makes up.
 */
#include "config.h"

#include "runtime/run/device_internal.h"
#include "runtime/run/link.h"
#include "tests/support/plb_test.h"

/* ---- names ---- */

static void names_are_read(void)
{
    struct plb__device_wish wish;

    PLB_CHECK_EQ(plb__device_read("cpu", &wish), PLB_OK);
    PLB_CHECK(wish.kind == &plb__device_cpu);
    PLB_CHECK_EQ(plb__device_read("virtual:2GiB", &wish), PLB_OK);
    PLB_CHECK(wish.kind == &plb__device_virtual);
    PLB_CHECK_EQ(wish.bytes, (size_t)2 << 30);
    PLB_CHECK(wish.link.out_bytes_per_second == 0 && wish.link.duplex);
    PLB_CHECK_EQ(plb__device_read("virtual:64MiB,link=150MB/s,latency=20us,duplex=half", &wish),
                 PLB_OK);
    PLB_CHECK_NEAR(wish.link.out_bytes_per_second, 150e6, 1);
    PLB_CHECK_NEAR(wish.link.in_bytes_per_second, 150e6, 1);
    PLB_CHECK_NEAR(wish.link.latency_seconds, 20e-6, 1e-12);
    PLB_CHECK(!wish.link.duplex);
}

static void refuse(const char *text, const char *part)
{
    struct plb__device_wish wish;

    if (!PLB_CHECK_EQ(plb__device_read(text, &wish), PLB_ERROR_INVALID))
        fprintf(stderr, "'%s' was taken for a device\n", text);
    PLB_CHECK_CONTAINS(plb_error_message(), part);
}

static void other_names_are_refused(void)
{
    refuse("gpu", "known: cpu[:WORKERS], virtual");
    refuse("", "known: cpu[:WORKERS], virtual");
    refuse("cpu:2GiB", "CPU workers has 1 to");
    refuse("virtual", "known: cpu[:WORKERS], virtual");
    refuse("virtual:", "");
    refuse("virtual:0", "");
    refuse("virtual:-1GiB", "");
    refuse("virtual:nan", "");
    refuse("virtual:2", "from 1 MiB to 64 TiB");
    refuse("virtual:2000TiB", "from 1 MiB to 64 TiB");
    refuse("virtual:1e30GiB", "");
    refuse("virtual:2GiB,", "known: link=");
    refuse("virtual:2GiB,speed=1MB/s", "known: link=");
    refuse("virtual:2GiB,link=150MB", "link=150MB/s");
    refuse("virtual:2GiB,link=0MB/s", "");
    refuse("virtual:2GiB,link=/s", "");
    refuse("virtual:2GiB,latency=20", "latency=20us");
    refuse("virtual:2GiB,latency=-1us", "latency=20us");
    refuse("virtual:2GiB,latency=2s", "at most a second");
    refuse("virtual:2GiB,latency=nanus", "latency=20us");
    refuse("virtual:2GiB,duplex=both", "full or half");
    refuse("virtual:2GiB,latency=20us", "needs a link=");
}

/* ---- the link ---- */

static struct plb__link link_of(double rate, double latency, bool duplex)
{
    struct plb__link link = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const struct plb_link rates = {rate, rate, latency, duplex};

    plb__link_reset(&link, &rates);
    return link;
}

static void transfers_take_their_time(void)
{
    struct plb__link link = link_of(100e6, 0, true);

    PLB_CHECK_NEAR(plb__link_book(&link, PLB__FROM_DEVICE, 1000000, true, 5.0), 5.01, 1e-9);
    /* At once: after the one before. */
    PLB_CHECK_NEAR(plb__link_book(&link, PLB__FROM_DEVICE, 1000000, true, 5.0), 5.02, 1e-9);
    /* As late as a thread wakes up: no time is lost. */
    PLB_CHECK_NEAR(plb__link_book(&link, PLB__FROM_DEVICE, 1000000, true, 5.0201), 5.03, 1e-9);
    /* Later, when it is said to be so late. */
    plb__link_late(&link, PLB__FROM_DEVICE, 0.004);
    PLB_CHECK_NEAR(plb__link_book(&link, PLB__FROM_DEVICE, 1000000, true, 5.0341), 5.04, 1e-9);
    PLB_CHECK_NEAR(plb__link_book(&link, PLB__FROM_DEVICE, 1000000, true, 5.0441), 5.0541, 1e-9);
    /* After a pause. */
    PLB_CHECK_NEAR(plb__link_book(&link, PLB__FROM_DEVICE, 1000000, true, 6.0), 6.01, 1e-9);
}

static void directions_are_two_links_or_one(void)
{
    struct plb__link full = link_of(100e6, 0, true), half = link_of(100e6, 0, false);

    plb__link_book(&full, PLB__FROM_DEVICE, 1000000, true, 1.0);
    PLB_CHECK_NEAR(plb__link_book(&full, PLB__TO_DEVICE, 1000000, true, 1.0), 1.01, 1e-9);
    plb__link_book(&half, PLB__FROM_DEVICE, 1000000, true, 1.0);
    PLB_CHECK_NEAR(plb__link_book(&half, PLB__TO_DEVICE, 1000000, true, 1.0), 1.02, 1e-9);
}

/* What many transfers take is what the sum of their bytes takes, to rounding. */
static void a_long_series_is_exact(void)
{
    struct plb__link link = link_of(150e6, 20e-6, true);
    double now = 3.0;

    for (int k = 0; k < 10000; k++)
        now = plb__link_book(&link, PLB__TO_DEVICE, 65536, false, now + 50e-6);
    PLB_CHECK_NEAR(now - 3.0, 10000 * (20e-6 + 65536 / 150e6), 1e-3);
}

static void transfers_are_counted_by_owner(void)
{
    struct plb__link link = link_of(0, 0, true);

    PLB_CHECK_NEAR(plb__link_book(&link, PLB__FROM_DEVICE, 100, true, 2.0), 2.0, 0);
    plb__link_book(&link, PLB__FROM_DEVICE, 200, true, 2.0);
    plb__link_book(&link, PLB__TO_DEVICE, 50, false, 2.0);
    PLB_CHECK_EQ(plb__link_traffic(&link, PLB__FROM_DEVICE, true).bytes, 300);
    PLB_CHECK_EQ(plb__link_traffic(&link, PLB__FROM_DEVICE, true).calls, 2);
    PLB_CHECK_EQ(plb__link_traffic(&link, PLB__FROM_DEVICE, false).calls, 0);
    PLB_CHECK_EQ(plb__link_traffic(&link, PLB__TO_DEVICE, true).calls, 0);
    PLB_CHECK_EQ(plb__link_traffic(&link, PLB__TO_DEVICE, false).bytes, 50);
    plb__link_reset(&link, &(struct plb_link){0});
    PLB_CHECK_EQ(plb__link_traffic(&link, PLB__FROM_DEVICE, true).bytes, 0);
}

PLB_TEST_MAIN("runtime/run/device", NULL, NULL, PLB_TEST(names_are_read),
              PLB_TEST(other_names_are_refused), PLB_TEST(transfers_take_their_time),
              PLB_TEST(directions_are_two_links_or_one), PLB_TEST(a_long_series_is_exact),
              PLB_TEST(transfers_are_counted_by_owner))
