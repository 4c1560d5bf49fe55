/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The subject of a test: a small graph with data.
 *
 * A case builds it with one or more builders; the gradient rules of its operators then add their
 * tasks, with a random projection as the gradient of each task's first output. All values are kept
 * whole, as a kernel would see them.
 */
#ifndef PLB_TESTS_CODELETS_SUBJECT_H
#define PLB_TESTS_CODELETS_SUBJECT_H

#include "runtime/graph/graph.h"
#include "tests/codelets/reference.h"

#define SUBJECT_VALUES 96
#define SUBJECT_DIMS   8
#define SUBJECT_ROWS   13

/* What an input is filled with. `a` is a parameter of the kind. */
enum fill {
    FILL_NORMAL,   /* normal deviates times a */
    FILL_WIDE,     /* normal deviates of many magnitudes: the order of a sum shows in its bits */
    FILL_POSITIVE, /* 0.1 + |normal| a */
    FILL_APART,    /* normal, but at least 0.1 away from zero */
    FILL_FEW,      /* one of a values, many of them equal */
    FILL_DISTINCT, /* differing by at least 1/8 within 255 elements */
    FILL_INDEX,    /* integers in [0, a) */
    FILL_TARGET,   /* integers in [0, a), about a quarter of them -1 */
    FILL_IGNORED,  /* -1 */
    FILL_PLACES,   /* positions i % a + i / a % 3 */
    FILL_HYPER,    /* learning rate and bias corrections of an early step */
};

struct subject;

/* A case: a builder of subjects and the dimensions to build with. */
struct subject_case {
    const char *name;
    void (*build)(struct subject *s);
    bool kinked;                                   /* not differentiable at its inputs */
    int64_t low[SUBJECT_DIMS], high[SUBJECT_DIMS]; /* of dimensions drawn at random */
    int64_t dims[SUBJECT_ROWS][SUBJECT_DIMS]; /* each row a subject; one that begins with 0: none */
};

struct subject {
    const struct subject_case *case_;
    plb_graph_t *graph;
    const int64_t *d; /* the dimensions */
    enum plb_dtype real;
    uint64_t seed, step;
    plb_task_id n_forward; /* tasks before the gradient rules added theirs */
    uint32_t n;            /* values */
    enum fill fill[SUBJECT_VALUES];
    double fill_a[SUBJECT_VALUES];
    void *data[SUBJECT_VALUES];           /* in the value's dtype */
    plb_value projection[SUBJECT_VALUES]; /* by task: d of its first output */
    plb_value gradient[SUBJECT_VALUES];   /* by value: what the rule gave as its gradient */
};

/* For builders of cases: an input of the graph. */
plb_value subject_input(struct subject *s, const char *name, enum plb_dtype dtype,
                        struct plb_shape shape, enum fill fill, double a);
/* A real-valued one of the subject's dtype, normal. */
plb_value subject_real(struct subject *s, const char *name, struct plb_shape shape);

/* Builds the graph, its gradients and the data of its inputs. A failure of a builder or rule is a
 * failed check, and false. */
bool subject_create(struct subject *s, const struct subject_case *c, const int64_t *dims,
                    enum plb_dtype real, uint64_t seed);
void subject_destroy(struct subject *s);
/* "linear 5 7 3 bf16", for messages. Static. */
const char *subject_name(const struct subject *s);

/* Inputs of a task, flat as a reference has them. */
int subject_inputs(const struct subject *s, const struct plb_task *task, plb_value *in);
/* The value of output k, PLB_NONE when it was not made. */
plb_value subject_output(const struct plb_task *task, int k);

/* Of f32 or bf16; false for PLB_NONE. */
bool subject_is_real(const struct subject *s, plb_value value);

double element_get(const void *data, enum plb_dtype dtype, int64_t i);
void element_set(void *data, enum plb_dtype dtype, int64_t i, double value);

/* Fresh memory for the reference outputs of a task, run from values in double precision given by
 * `in` (by value of the graph). out[] gets task->n_out values, whose memory the caller frees with
 * reference_free(). */
void subject_reference(const struct subject *s, const struct plb_task *task, double *const *in,
                       struct reference_value *out);
void reference_free(struct reference_value *value, int n);

/* All values in double precision, by running references only: inputs are taken from the data,
 * tasks from `first` to `last` - 1 are run. values[] is by value; NULL entries are allocated. */
void subject_evaluate(const struct subject *s, plb_task_id first, plb_task_id last,
                      double **values);

#endif
