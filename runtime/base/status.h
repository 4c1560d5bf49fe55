/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Status codes and the error message that goes with them.
 *
 * Every function of Palombe that can fail returns an enum plb_status: PLB_OK (zero) or a negative
 * code. Codes are grouped by what the caller must rebuild before going on, not by where the fault
 * was found. The exact cause, with the value seen, is written once, where it is decided, with
 * plb_fail(); the callers above pass the status on unchanged. Outputs are set only on success.
 *
 * Thread-safety: the message is kept per thread.
 */
#ifndef PLB_BASE_STATUS_H
#define PLB_BASE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

enum plb_status {
    PLB_OK = 0,
    PLB_ERROR_INVALID = -1,     /* an argument or option is wrong: mend the call */
    PLB_ERROR_FORMAT = -2,      /* a file or text is malformed or foreign: get another file */
    PLB_ERROR_IO = -3,          /* the operating system refused: path, rights, space */
    PLB_ERROR_MEMORY = -4,      /* memory could not be had: free some or ask for less */
    PLB_ERROR_UNAVAILABLE = -5, /* not available here (library, device, feature): not a fault */
    PLB_ERROR_DEVICE = -6,      /* StarPU or a device failed: start the executor again */
    PLB_ERROR_INTERRUPTED = -7, /* the user asked to stop */
    PLB_ERROR_INTERNAL = -8,    /* our own bug */
};

/* The name of a status, e.g. "invalid argument". Never NULL. */
const char *plb_status_name(enum plb_status status);

/* The message of this thread's latest failure; empty when there was none. Never NULL; valid until
 * the thread's next failure. */
const char *plb_error_message(void);

/* Records the message (printf format; one sentence without a final full stop) and returns
 * `status`, so that `return plb_fail(PLB_ERROR_FORMAT, "...", ...)` is the whole of it. */
enum plb_status plb_fail(enum plb_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts context in front of the current message ("FILE: message") and returns `status`. */
enum plb_status plb_fail_within(enum plb_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Forgets this thread's message. */
void plb_error_clear(void);

/* Returns the status of an expression to the caller unless it is PLB_OK. */
#define PLB_TRY(expression)                                                                        \
    do {                                                                                           \
        enum plb_status plb_try_status_ = (expression);                                            \
        if (plb_try_status_ != PLB_OK)                                                             \
            return plb_try_status_;                                                                \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
