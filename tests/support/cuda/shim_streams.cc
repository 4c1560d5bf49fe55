/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams, events and graphs.
 *
 * A stream is a queue of operations. One lock protects all queues; it is not held while an operation
 * runs, which only one thread does at a time for each stream.
 *
 * What a graph captures from several streams is kept as one list in the order of the calls, which
 * is an order that its dependencies allow.
 */
#include "tests/support/cuda/shim.h"

#include "tests/support/cuda/emulator.h"

#include <stdio.h>
#include <stdlib.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

namespace shim {

struct stream;

/* One recording of an event. */
struct record {
    struct stream *of;
    bool done;
    double seconds;
};

struct operation {
    const char *name;
    work run;
    std::shared_ptr<record> wait; /* not before this is done */
};

struct graph {
    std::vector<operation> list;
    std::vector<struct stream *> from; /* streams that joined, the first began */
};

struct stream {
    int device;
    bool blocking; /* the default stream waits for it */
    bool busy;
    std::deque<operation> queue;
    graph *capture;
};

struct event {
    std::shared_ptr<record> last; /* NULL: not recorded */
    graph *captured;              /* by the last recording, while that graph was made */
};

static std::mutex lock;
static std::condition_variable changed;
static std::vector<stream *> streams;

static double now(void)
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

static stream *stream_of(cudaStream_t handle)
{
    return reinterpret_cast<stream *>(handle);
}

static event *event_of(cudaEvent_t handle)
{
    return reinterpret_cast<event *>(handle);
}

/* The default stream, under any of its names. */
static bool is_default(cudaStream_t handle)
{
    return handle == NULL || handle == cudaStreamLegacy || handle == cudaStreamPerThread;
}

typedef std::unique_lock<std::mutex> holding;

/* Runs one operation of a stream, or one that it waits for. */
static void advance(holding &hold, stream *s)
{
    if (s->busy) {
        changed.wait(hold);
        return;
    }
    if (s->queue.empty())
        return;
    if (s->queue.front().wait != NULL && !s->queue.front().wait->done) {
        advance(hold, s->queue.front().wait->of);
        return;
    }

    operation o = s->queue.front();
    cudaError_t error;

    s->queue.pop_front();
    s->busy = true;
    hold.unlock();
    error = o.run ? o.run() : cudaSuccess;
    hold.lock();
    s->busy = false;
    if (error != cudaSuccess)
        lose(s->device, error);
    changed.notify_all();
}

static bool idle(const stream *s)
{
    return s->queue.empty() && !s->busy;
}

static void drain_stream(holding &hold, stream *s)
{
    while (!idle(s))
        advance(hold, s);
}

static void drain_device(holding &hold, int device, bool blocking_only)
{
    for (size_t k = 0; k < streams.size(); k++) {
        if (streams[k]->device == device && (streams[k]->blocking || !blocking_only))
            drain_stream(hold, streams[k]);
    }
}

cudaError_t drain(int device)
{
    holding hold(lock);

    drain_device(hold, device, false);
    hold.unlock();
    return enter();
}

/* The default stream waits for the others, and what is enqueued on it is done at once. */
static cudaError_t on_default(holding &hold, const work &w)
{
    cudaError_t error;

    drain_device(hold, current_device(), true);
    hold.unlock();
    error = w();
    if (error != cudaSuccess)
        lose(current_device(), error);
    return enter();
}

cudaError_t enqueue(cudaStream_t handle, const char *name, work w)
{
    cudaError_t error = enter();
    holding hold(lock);
    stream *s = stream_of(handle);

    if (error != cudaSuccess)
        return error;
    if (is_default(handle))
        return on_default(hold, w);
    if (s->capture != NULL)
        s->capture->list.push_back(operation{name, w, NULL});
    else
        s->queue.push_back(operation{name, w, NULL});
    return cudaSuccess;
}

} /* namespace shim */

namespace emulator {

cudaError_t enqueue(cudaStream_t handle, const job &j)
{
    return shim::enqueue(handle, j.name, [j]() {
        return shim::due("lost") ? cudaErrorIllegalAddress : execute(j);
    });
}

} /* namespace emulator */

using namespace shim;

extern "C" {

/* ---- streams ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *handle_out, unsigned flags)
{
    cudaError_t error = enter();

    if (error != cudaSuccess)
        return error;

    stream *s = new stream{current_device(), !(flags & cudaStreamNonBlocking), false, {}, NULL};
    holding hold(lock);

    streams.push_back(s);
    *handle_out = reinterpret_cast<cudaStream_t>(s);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *handle_out)
{
    return cudaStreamCreateWithFlags(handle_out, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *handle_out, unsigned flags, int priority)
{
    (void)priority;
    return cudaStreamCreateWithFlags(handle_out, flags);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = 0;
    *greatest = -5;
    return enter();
}

cudaError_t cudaStreamDestroy(cudaStream_t handle)
{
    holding hold(lock);
    stream *s = stream_of(handle);

    drain_stream(hold, s);
    for (size_t k = 0; k < streams.size(); k++) {
        if (streams[k] == s)
            streams.erase(streams.begin() + (long)k);
    }
    hold.unlock();
    delete s;
    return enter();
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle)
{
    holding hold(lock);

    if (is_default(handle))
        drain_device(hold, current_device(), true);
    else if (stream_of(handle)->capture != NULL)
        return note(cudaErrorStreamCaptureUnsupported);
    else
        drain_stream(hold, stream_of(handle));
    hold.unlock();
    return enter();
}

cudaError_t cudaStreamQuery(cudaStream_t handle)
{
    cudaError_t error = enter();
    holding hold(lock);
    stream *s = stream_of(handle);

    if (error != cudaSuccess || is_default(handle) || idle(s))
        return error;
    if (!s->busy)
        advance(hold, s);
    return cudaErrorNotReady;
}

cudaError_t cudaDeviceSynchronize(void)
{
    return drain(current_device());
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void *data)
{
    return enqueue(handle, "host function", [function, data]() {
        function(data);
        return cudaSuccess;
    });
}

/* ---- events ---- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *handle_out, unsigned flags)
{
    (void)flags;
    *handle_out = reinterpret_cast<cudaEvent_t>(new event{NULL, NULL});
    return enter();
}

cudaError_t cudaEventCreate(cudaEvent_t *handle_out)
{
    return cudaEventCreateWithFlags(handle_out, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t handle)
{
    delete event_of(handle);
    return enter();
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t on)
{
    cudaError_t error = enter();
    holding hold(lock);
    event *e = event_of(handle);
    stream *s = stream_of(on);
    std::shared_ptr<record> r(new record{s, false, 0});

    if (error != cudaSuccess)
        return error;
    e->last = r;
    e->captured = NULL;
    if (is_default(on)) {
        drain_device(hold, current_device(), true);
        *r = record{NULL, true, now()};
    } else if (s->capture != NULL) {
        e->captured = s->capture;
    } else {
        s->queue.push_back(operation{"event", [r]() {
                                         holding again(lock);

                                         r->seconds = now();
                                         r->done = true;
                                         return cudaSuccess;
                                     },
                                     NULL});
    }
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t what, unsigned flags)
{
    cudaError_t error = enter();
    holding hold(lock);
    stream *s = stream_of(handle);
    event *e = event_of(what);

    (void)flags;
    if (error != cudaSuccess || e->last == NULL)
        return error;
    if (e->captured != NULL && !is_default(handle)) {
        if (s->capture == NULL)
            e->captured->from.push_back(s);
        s->capture = e->captured;
        return cudaSuccess;
    }
    if (is_default(handle)) {
        while (!e->last->done)
            advance(hold, e->last->of);
    } else {
        s->queue.push_back(operation{"wait", nullptr, e->last});
    }
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle)
{
    holding hold(lock);
    std::shared_ptr<record> r = event_of(handle)->last;

    while (r != NULL && !r->done)
        advance(hold, r->of);
    hold.unlock();
    return enter();
}

cudaError_t cudaEventQuery(cudaEvent_t handle)
{
    cudaError_t error = enter();
    holding hold(lock);
    std::shared_ptr<record> r = event_of(handle)->last;

    if (error != cudaSuccess || r == NULL || r->done)
        return error;
    if (!r->of->busy)
        advance(hold, r->of);
    return r->done ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *milliseconds_out, cudaEvent_t from, cudaEvent_t to)
{
    holding hold(lock);
    event *a = event_of(from), *b = event_of(to);

    if (a->last == NULL || b->last == NULL)
        return note(cudaErrorInvalidValue);
    if (!a->last->done || !b->last->done)
        return cudaErrorNotReady;
    *milliseconds_out = (float)((b->last->seconds - a->last->seconds) * 1e3);
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, enum cudaStreamCaptureMode mode)
{
    cudaError_t error = enter();
    holding hold(lock);

    (void)mode;
    if (error != cudaSuccess)
        return error;
    if (is_default(handle) || stream_of(handle)->capture != NULL)
        return note(cudaErrorStreamCaptureUnsupported);
    stream_of(handle)->capture = new graph{{}, {stream_of(handle)}};
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph_out)
{
    holding hold(lock);
    graph *g = is_default(handle) ? NULL : stream_of(handle)->capture;

    if (g == NULL || g->from[0] != stream_of(handle))
        return note(cudaErrorInvalidValue);
    for (size_t k = 0; k < g->from.size(); k++)
        g->from[k]->capture = NULL;
    *graph_out = reinterpret_cast<cudaGraph_t>(g);
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, enum cudaStreamCaptureStatus *status_out)
{
    holding hold(lock);

    *status_out = !is_default(handle) && stream_of(handle)->capture != NULL
                      ? cudaStreamCaptureStatusActive
                      : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec_out, cudaGraph_t handle,
                                 unsigned long long flags)
{
    (void)flags;
    *exec_out = reinterpret_cast<cudaGraphExec_t>(new graph(*reinterpret_cast<graph *>(handle)));
    return enter();
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle)
{
    for (const operation &o : reinterpret_cast<graph *>(exec)->list) {
        cudaError_t error = enqueue(handle, o.name, o.run);

        if (error != cudaSuccess)
            return error;
    }
    return enter();
}

cudaError_t cudaGraphDestroy(cudaGraph_t handle)
{
    delete reinterpret_cast<graph *>(handle);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete reinterpret_cast<graph *>(exec);
    return cudaSuccess;
}

} /* extern "C" */
