/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of palombe doctor share: a report of findings.
 */
#ifndef PLB_CLI_DOCTOR_H
#define PLB_CLI_DOCTOR_H

#include "frontends/cli/cli.h"

#include "runtime/plan/costs.h"

enum state { GOOD, ABSENT, WRONG };

struct finding {
    const char *subject;
    enum state state;
    char text[320];
    char mend[320]; /* empty when there is nothing to do */
};

enum { FINDINGS_MAX = 24 };

struct report {
    struct finding finding[FINDINGS_MAX];
    int n;
};

/* Never more than FINDINGS_MAX: each check adds a bounded number. */
struct finding *doctor_add(struct report *report, const char *subject,
                                     enum state state, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void doctor_mend(struct finding *finding, const char *how);
/* Rates of a link, as text. */
void doctor_print_link(const struct plb_link *link, char *text, size_t size);

/* doctor_cuda.c */
void doctor_check_cuda(struct report *report);

#endif
