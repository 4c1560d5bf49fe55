/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory ledger: who holds how much memory on which device.
 *
 * Every block that the executor takes is entered, by device and by what it is for, and struck out
 * when it is given back. A slot counts for the role of the first value that lies in it. Device 0 is
 * the machine's main memory, device 1 the card, if one has been used.
 *
 * Thread-safety: the ledger has a lock of its own.
 */
#ifndef PLB_RUN_LEDGER_H
#define PLB_RUN_LEDGER_H

#include "runtime/graph/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Accounts: the roles of values, and the kernels' work space. */
#define PLB_ACCOUNT_SCRATCH PLB_ROLES
#define PLB_ACCOUNTS (PLB_ROLES + 1)

struct plb_ledger {
    const char *device;         /* "main memory", "card" */
    size_t now[PLB_ACCOUNTS];   /* bytes held, by account */
    size_t now_total;
    size_t peak_total;          /* most bytes held at once since the runtime was started */
    size_t peak[PLB_ACCOUNTS];  /* by account, at that moment */
};

/* Number of devices with a ledger. */
int plb_ledger_devices(void);
/* A copy of a device's ledger. `device` is 0 to plb_ledger_devices() - 1. */
void plb_ledger_get(int device, struct plb_ledger *ledger_out);
const char *plb_account_name(int account); /* a role's name or "scratch" */

/* Enters (or, with take false, strikes out) bytes. For the executor. */
void plb__ledger_count(int device, int account, size_t bytes, bool take);
/* Peaks begin anew from what is held now. For the start of the runtime. */
void plb__ledger_restart(void);

#ifdef __cplusplus
}
#endif

#endif
