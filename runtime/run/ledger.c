/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory ledger.
 */
#include "runtime/run/ledger.h"

#include <pthread.h>
#include <string.h>

#define DEVICES 2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plb_ledger ledgers[DEVICES] = {{.device = "main memory"}, {.device = "card"}};

int plb_ledger_devices(void)
{
    int n;

    pthread_mutex_lock(&lock);
    n = ledgers[1].peak_total > 0 ? DEVICES : 1;
    pthread_mutex_unlock(&lock);
    return n;
}

void plb_ledger_get(int device, struct plb_ledger *ledger_out)
{
    pthread_mutex_lock(&lock);
    *ledger_out = ledgers[device];
    pthread_mutex_unlock(&lock);
}

const char *plb_account_name(int account)
{
    return account == PLB_ACCOUNT_SCRATCH ? "scratch" : plb_role_name((enum plb_role)account);
}

void plb__ledger_count(int device, int account, size_t bytes, bool take)
{
    struct plb_ledger *ledger = &ledgers[device];

    pthread_mutex_lock(&lock);
    if (take) {
        ledger->now[account] += bytes;
        ledger->now_total += bytes;
    } else {
        ledger->now[account] -= bytes;
        ledger->now_total -= bytes;
    }
    if (ledger->now_total > ledger->peak_total) {
        ledger->peak_total = ledger->now_total;
        memcpy(ledger->peak, ledger->now, sizeof ledger->peak);
    }
    pthread_mutex_unlock(&lock);
}

void plb__ledger_restart(void)
{
    pthread_mutex_lock(&lock);
    for (int k = 0; k < DEVICES; k++) {
        ledgers[k].peak_total = ledgers[k].now_total;
        memcpy(ledgers[k].peak, ledgers[k].now, sizeof ledgers[k].peak);
    }
    pthread_mutex_unlock(&lock);
}
