/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library says without having been asked: a decision that it took by itself and that is no
 * failure (a disk is full, and a run goes on without it). It goes to standard error, or where the
 * application wants it.
 *
 * Thread-safety: any thread may report; one report at a time reaches the application.
 */
#ifndef PLB_BASE_REPORT_H
#define PLB_BASE_REPORT_H

#ifdef __cplusplus
extern "C" {
#endif

/* Reports go to `report(line, argument)` from now on: one sentence, without an end of line. NULL:
 * to standard error again, behind "palombe: ". `report` must not call plb_report() itself. */
void plb_report_to(void (*report)(const char *line, void *argument), void *argument);

/* Says something (printf format; a sentence without a final full stop). */
void plb_report(const char *format, ...) __attribute__((format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif

#endif
