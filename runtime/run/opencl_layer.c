/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The OpenCL layer that counts and paces transfers.
 */
#define _GNU_SOURCE
#include "config.h"

#ifdef PLB_HAVE_OPENCL

#include "runtime/run/opencl_layer.h"

#include "runtime/run/device_internal.h"

#include <CL/cl_layer.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define LAYER_NAME "palombe"

/* What the loader gave us to call, and what we gave it. */
static const struct _cl_icd_dispatch *next;
static struct _cl_icd_dispatch layer;

static struct plb__link the_link = {.lock = PTHREAD_MUTEX_INITIALIZER};
static _Thread_local bool transfers_are_ours;

struct plb__link *plb__opencl_link(void)
{
    return &the_link;
}

void plb__opencl_ours(bool ours)
{
    transfers_are_ours = ours;
}

/* ---- waiting ---- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct timespec time_of(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};

    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    return t;
}

static void sleep_until(double deadline)
{
    struct timespec t = time_of(deadline);

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* Events to be completed later, by a thread that sleeps until the next one is due. There are never
 * many, so the list is not sorted. */
struct pending {
    struct pending *next;
    cl_event event;
    enum plb__direction direction;
    double due;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool running;
    struct pending *first;
} pacer = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Takes out what is due and gives the time at which the next one will be (0: none waits). */
static struct pending *take_due(double *next_due_out)
{
    struct pending *due = NULL, **place = &pacer.first;
    double time = now(), soonest = 0;

    while (*place) {
        struct pending *p = *place;

        if (p->due <= time) {
            *place = p->next;
            p->next = due;
            due = p;
            continue;
        }
        if (soonest == 0 || p->due < soonest)
            soonest = p->due;
        place = &p->next;
    }
    *next_due_out = soonest;
    return due;
}

static void complete(struct pending *list)
{
    while (list) {
        struct pending *p = list;

        list = p->next;
        plb__link_late(&the_link, p->direction, now() - p->due);
        next->clSetUserEventStatus(p->event, CL_COMPLETE);
        next->clReleaseEvent(p->event);
        free(p);
    }
}

static void *pace(void *unused)
{
    (void)unused;
    prctl(PR_SET_TIMERSLACK, 1000ul); /* nanoseconds */
    pthread_mutex_lock(&pacer.lock);
    for (;;) {
        double next_due;
        struct pending *due = take_due(&next_due);

        if (due) {
            pthread_mutex_unlock(&pacer.lock);
            complete(due);
            pthread_mutex_lock(&pacer.lock);
        } else if (next_due > 0) {
            struct timespec t = time_of(next_due);

            pthread_cond_timedwait(&pacer.changed, &pacer.lock, &t);
        } else {
            pthread_cond_wait(&pacer.changed, &pacer.lock);
        }
    }
    return NULL;
}

/* With the lock held. The thread lives as long as the process, as the loader's layers do. */
static bool start_pacer(void)
{
    pthread_condattr_t attributes;
    pthread_t thread;

    if (pacer.running)
        return true;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pacer.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&thread, NULL, pace, NULL) != 0)
        return false;
    pthread_detach(thread);
    pacer.running = true;
    return true;
}

static bool complete_later(cl_event event, enum plb__direction direction, double due)
{
    struct pending *p = malloc(sizeof *p);
    bool ok;

    if (!p)
        return false;
    *p = (struct pending){.event = event, .direction = direction, .due = due};
    pthread_mutex_lock(&pacer.lock);
    ok = start_pacer();
    if (ok) {
        p->next = pacer.first;
        pacer.first = p;
        pthread_cond_signal(&pacer.changed);
    }
    pthread_mutex_unlock(&pacer.lock);
    if (!ok)
        free(p);
    return ok;
}

/* Replaces *event, that of a transfer which does not block, by one that is completed when both the
 * transfer and the link are through. Where that cannot be had the transfer is waited for. */
static void delay_event(cl_command_queue queue, enum plb__direction direction, cl_event *event,
                        double due)
{
    cl_event transfer = *event, list[2] = {transfer, NULL}, both;
    cl_context context;

    if (next->clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL) ==
        CL_SUCCESS)
        list[1] = next->clCreateUserEvent(context, NULL);
    if (!list[1] || next->clEnqueueMarkerWithWaitList(queue, 2, list, &both) != CL_SUCCESS) {
        if (list[1])
            next->clReleaseEvent(list[1]);
        sleep_until(due);
        return;
    }
    next->clReleaseEvent(transfer);
    *event = both;
    if (!complete_later(list[1], direction, due)) {
        sleep_until(due);
        next->clSetUserEventStatus(list[1], CL_COMPLETE);
        next->clReleaseEvent(list[1]);
    }
}

/* After a transfer was enqueued (and, when blocking, done) that began at `start`. */
static void pass_link(cl_command_queue queue, enum plb__direction direction, size_t bytes,
                      bool blocking, cl_event *event, double start)
{
    double due = plb__link_book(&the_link, direction, bytes, transfers_are_ours, start);

    if (due <= now())
        return;
    if (!blocking && event) {
        delay_event(queue, direction, event, due);
        return;
    }
    sleep_until(due);
    plb__link_late(&the_link, direction, now() - due);
}

/* ---- the calls that move data ---- */

static cl_int CL_API_CALL read_buffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                      size_t offset, size_t bytes, void *to, cl_uint n_wait,
                                      const cl_event *wait, cl_event *event)
{
    double start = now();
    cl_int error =
        next->clEnqueueReadBuffer(queue, buffer, blocking, offset, bytes, to, n_wait, wait, event);

    if (error == CL_SUCCESS)
        pass_link(queue, PLB__FROM_DEVICE, bytes, blocking, event, start);
    return error;
}

static cl_int CL_API_CALL write_buffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                       size_t offset, size_t bytes, const void *from,
                                       cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    double start = now();
    cl_int error = next->clEnqueueWriteBuffer(queue, buffer, blocking, offset, bytes, from, n_wait,
                                              wait, event);

    if (error == CL_SUCCESS)
        pass_link(queue, PLB__TO_DEVICE, bytes, blocking, event, start);
    return error;
}

static cl_int CL_API_CALL read_rect(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                    const size_t *origin, const size_t *host_origin,
                                    const size_t *region, size_t row_pitch, size_t slice_pitch,
                                    size_t host_row_pitch, size_t host_slice_pitch, void *to,
                                    cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    double start = now();
    cl_int error = next->clEnqueueReadBufferRect(queue, buffer, blocking, origin, host_origin,
                                                 region, row_pitch, slice_pitch, host_row_pitch,
                                                 host_slice_pitch, to, n_wait, wait, event);

    if (error == CL_SUCCESS)
        pass_link(queue, PLB__FROM_DEVICE, region[0] * region[1] * region[2], blocking, event,
                  start);
    return error;
}

static cl_int CL_API_CALL write_rect(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                     const size_t *origin, const size_t *host_origin,
                                     const size_t *region, size_t row_pitch, size_t slice_pitch,
                                     size_t host_row_pitch, size_t host_slice_pitch,
                                     const void *from, cl_uint n_wait, const cl_event *wait,
                                     cl_event *event)
{
    double start = now();
    cl_int error = next->clEnqueueWriteBufferRect(queue, buffer, blocking, origin, host_origin,
                                                  region, row_pitch, slice_pitch, host_row_pitch,
                                                  host_slice_pitch, from, n_wait, wait, event);

    if (error == CL_SUCCESS)
        pass_link(queue, PLB__TO_DEVICE, region[0] * region[1] * region[2], blocking, event, start);
    return error;
}

static cl_int CL_API_CALL release_buffer(cl_mem buffer)
{
    plb__opencl_forget(buffer);
    return next->clReleaseMemObject(buffer);
}

/* ---- what the loader calls ---- */

CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(cl_layer_info name, size_t bytes, void *value,
                                               size_t *bytes_out)
{
    static const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    const void *answer = name == CL_LAYER_NAME ? (const void *)LAYER_NAME : &version;
    size_t n = name == CL_LAYER_NAME ? sizeof LAYER_NAME : sizeof version;

    if ((name != CL_LAYER_NAME && name != CL_LAYER_API_VERSION) || (value && bytes < n))
        return CL_INVALID_VALUE;
    if (value)
        memcpy(value, answer, n);
    if (bytes_out)
        *bytes_out = n;
    return CL_SUCCESS;
}

CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint n, const cl_icd_dispatch *target,
                                            cl_uint *n_out, const cl_icd_dispatch **layer_out)
{
    const cl_uint least = sizeof layer / sizeof(void *);

    if (!target || !n_out || !layer_out || n < least)
        return CL_INVALID_VALUE;
    memcpy(&layer, target, sizeof layer);
    layer.clEnqueueReadBuffer = read_buffer;
    layer.clEnqueueWriteBuffer = write_buffer;
    layer.clEnqueueReadBufferRect = read_rect;
    layer.clEnqueueWriteBufferRect = write_rect;
    layer.clReleaseMemObject = release_buffer;
    next = target;
    *n_out = least;
    *layer_out = &layer;
    return CL_SUCCESS;
}

/* ---- loading ---- */

static char *layers_of_user; /* what OPENCL_LAYERS was, while ours is offered */
static bool offered;

/* StarPU looks once in a process which devices there are: those on the CPU are what is wanted.
 * PoCL's own threads run nothing but copies, which one of them does at memory speed; they sleep
 * when there is none. The first name is PoCL's since 4.0, the second the one before. (Its driver
 * without threads blocks for ever on events that are completed from outside.) */
static void set_environment(void)
{
    setenv("STARPU_OPENCL_ON_CPUS", "1", 1);
    setenv("STARPU_OPENCL_ONLY_ON_CPUS", "1", 1);
    setenv("POCL_CPU_MAX_CU_COUNT", "1", 0);
    setenv("POCL_MAX_PTHREAD_COUNT", "1", 0);
}

/* Puts the file that this code is in before the layers that the user names. */
void plb__opencl_layer_offer(void)
{
    const char *others = getenv("OPENCL_LAYERS");
    char path[PATH_MAX], *value;
    Dl_info info;

    set_environment();
    if (next || offered || !dladdr(&the_link, &info) || !info.dli_fname ||
        !realpath(info.dli_fname, path))
        return;
    if (asprintf(&value, "%s%s%s", path, others && *others ? ":" : "", others ? others : "") < 0)
        return;
    layers_of_user = others ? strdup(others) : NULL;
    setenv("OPENCL_LAYERS", value, 1);
    offered = true;
    free(value);
}

/* Programs that this one starts are not to have the layer. */
void plb__opencl_layer_withdraw(void)
{
    if (!offered)
        return;
    if (layers_of_user)
        setenv("OPENCL_LAYERS", layers_of_user, 1);
    else
        unsetenv("OPENCL_LAYERS");
    free(layers_of_user);
    layers_of_user = NULL;
    offered = false;
}

/* PoCL makes as many devices as names stand here, when it is first asked for them. Its driver's name
 * is "pthread" before version 4. */
static void ask_for_devices(cl_platform_id platform, uint32_t n)
{
    char version[128] = "", names[PLB_DEVICES_MAX * 8] = "";
    const char *number;

    if (n < 2 || clGetPlatformInfo(platform, CL_PLATFORM_VERSION, sizeof version, version, NULL))
        return;
    number = strstr(version, "PoCL ");
    for (uint32_t k = 0; number && k < n; k++) {
        strcat(names, k ? " " : "");
        strcat(names, atoi(number + 5) < 4 ? "pthread" : "cpu");
    }
    if (number)
        setenv("POCL_DEVICES", names, 0);
}

static uint32_t count_cpu_devices(uint32_t wanted)
{
    enum { PLATFORMS = 16 };
    cl_platform_id platform[PLATFORMS];
    cl_uint n = 0, devices, all = 0;

    if (clGetPlatformIDs(PLATFORMS, platform, &n) != CL_SUCCESS)
        return 0;
    for (cl_uint k = 0; k < n && k < PLATFORMS; k++) {
        ask_for_devices(platform[k], wanted);
        if (clGetDeviceIDs(platform[k], CL_DEVICE_TYPE_CPU, 0, NULL, &devices) == CL_SUCCESS)
            all += devices;
    }
    return all;
}

enum plb_status plb__opencl_layer_load(uint32_t n)
{
    uint32_t devices = count_cpu_devices(n);

    if (devices > 0 && devices < n)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "%u virtual devices asked for, and OpenCL has %u here: it makes as many as "
                        "the first runtime of a process asks for (or POCL_DEVICES names)",
                        n, devices);
    if (devices == 0)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "there is no OpenCL device on the CPU: install pocl-opencl-icd");
    if (!next)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "the OpenCL loader did not take Palombe's layer: it was in use before, or "
                        "is older than ocl-icd 2.3");
    return PLB_OK;
}

#else

#include "runtime/run/device_internal.h"

void plb__opencl_layer_offer(void)
{
}

void plb__opencl_layer_withdraw(void)
{
}

#endif
