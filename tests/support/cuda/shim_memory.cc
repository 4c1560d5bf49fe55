/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of cards and pinned memory of the host, copies and fills.
 *
 * Memory that was not pinned behaves as on a card: what is copied from it is read at the call, and
 * a copy to it is complete when the call returns.
 */
#include "tests/support/cuda/shim.h"

#include "tests/support/cuda/shim_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace shim {

#ifdef __SANITIZE_ADDRESS__
enum { GUARD = 0 }; /* AddressSanitizer has its own */
#else
enum { GUARD = 256 };
#endif
enum { ALIGNMENT = 256, GUARD_BYTE = 0xA5, GARBAGE = 0xFF };

struct block {
    size_t bytes;
    enum cudaMemoryType type;
    int device;
    unsigned char *memory; /* what was allocated; NULL: registered memory of the program's */
};

static std::mutex lock;
static std::map<const unsigned char *, block> blocks; /* by first address */
static size_t used[8];
static size_t unpinned_copies;

struct place place_of(const void *address)
{
    const unsigned char *at = static_cast<const unsigned char *>(address);
    std::lock_guard<std::mutex> hold(lock);
    auto next = blocks.upper_bound(at);

    if (next == blocks.begin())
        return place{cudaMemoryTypeUnregistered, 0, 0};
    --next;
    if (at >= next->first + next->second.bytes)
        return place{cudaMemoryTypeUnregistered, 0, 0};
    return place{next->second.type, next->second.device,
                 (size_t)(next->first + next->second.bytes - at)};
}

static cudaError_t take(size_t bytes, enum cudaMemoryType type, void **address_out)
{
    void *memory = NULL;
    unsigned char *data;

    if (posix_memalign(&memory, ALIGNMENT, GUARD + bytes + GUARD) != 0)
        return note(cudaErrorMemoryAllocation);
    data = static_cast<unsigned char *>(memory) + GUARD;
    memset(data - GUARD, GUARD_BYTE, GUARD);
    memset(data, GARBAGE, bytes);
    memset(data + bytes, GUARD_BYTE, GUARD);

    std::lock_guard<std::mutex> hold(lock);

    blocks[data] = block{bytes, type, current_device(), static_cast<unsigned char *>(memory)};
    *address_out = data;
    return cudaSuccess;
}

static void check_guards(const unsigned char *data, size_t bytes)
{
    for (size_t k = 0; k < GUARD; k++) {
        if (data[k - GUARD] != GUARD_BYTE || data[bytes + k] != GUARD_BYTE) {
            fprintf(stderr, "CUDA shim: a write %s a block of %zu bytes\n",
                    data[k - GUARD] != GUARD_BYTE ? "before" : "past", bytes);
            abort();
        }
    }
}

static cudaError_t give(void *address, enum cudaMemoryType type)
{
    unsigned char *data = static_cast<unsigned char *>(address);
    std::unique_lock<std::mutex> hold(lock);
    auto found = blocks.find(data);
    block b;

    if (data == NULL)
        return cudaSuccess;
    if (found == blocks.end() || found->second.type != type || found->second.memory == NULL)
        return note(cudaErrorInvalidValue);
    hold.unlock();
    drain(found->second.device);
    hold.lock();
    b = found->second;
    blocks.erase(found);
    if (type == cudaMemoryTypeDevice)
        used[b.device] -= b.bytes;
    hold.unlock();
    check_guards(data, b.bytes);
    memset(data, GARBAGE, b.bytes);
    free(b.memory);
    return enter();
}

/* The card's memory must hold both ranges whole: a copy over the end of a block is an error there
 * too. */
static cudaError_t check_range(const void *address, size_t bytes)
{
    struct place p = place_of(address);

    if (p.type == cudaMemoryTypeUnregistered || p.left >= bytes)
        return cudaSuccess;
    fprintf(stderr, "CUDA shim: %zu bytes where a block has %zu\n", bytes, p.left);
    return note(cudaErrorInvalidValue);
}

static bool pinned(const void *address)
{
    return place_of(address).type != cudaMemoryTypeUnregistered;
}

/* Rows of `width` bytes. */
struct copy {
    unsigned char *to;
    const unsigned char *from;
    size_t to_pitch, from_pitch, width, height;
};

static void do_copy(const struct copy &c)
{
    for (size_t k = 0; k < c.height; k++)
        memmove(c.to + k * c.to_pitch, c.from + k * c.from_pitch, c.width);
}

static size_t extent(size_t pitch, const struct copy &c)
{
    return c.height == 0 ? 0 : (c.height - 1) * pitch + c.width;
}

static cudaError_t copy_on(cudaStream_t stream, struct copy c)
{
    cudaError_t error = check_range(c.to, extent(c.to_pitch, c));
    std::shared_ptr<std::vector<unsigned char>> kept;
    enum cudaStreamCaptureStatus capture;

    if (error == cudaSuccess)
        error = check_range(c.from, extent(c.from_pitch, c));
    if (error == cudaSuccess)
        error = cudaStreamIsCapturing(stream, &capture);
    if (error != cudaSuccess)
        return error;
    if (!pinned(c.from) && capture == cudaStreamCaptureStatusNone) {
        kept.reset(new std::vector<unsigned char>(c.from, c.from + extent(c.from_pitch, c)));
        c.from = kept->data();
        unpinned_copies++;
    }
    error = enqueue(stream, "copy", [c, kept]() {
        do_copy(c);
        return cudaSuccess;
    });
    if (error == cudaSuccess && !pinned(c.to) && capture == cudaStreamCaptureStatusNone) {
        unpinned_copies++;
        error = cudaStreamSynchronize(stream);
    }
    return error;
}

static struct copy line(void *to, const void *from, size_t bytes)
{
    return copy{static_cast<unsigned char *>(to), static_cast<const unsigned char *>(from),
                bytes,                            bytes,
                bytes,                            1};
}

/* A synchronous copy is one on the default stream. */
static cudaError_t copy_now(const struct copy &c)
{
    cudaError_t error = copy_on(NULL, c);

    return error == cudaSuccess ? cudaStreamSynchronize(NULL) : error;
}

static cudaError_t fill_on(cudaStream_t stream, void *to, int value, size_t bytes)
{
    cudaError_t error = check_range(to, bytes);

    if (error != cudaSuccess)
        return error;
    return enqueue(stream, "fill", [to, value, bytes]() {
        memset(to, value, bytes);
        return cudaSuccess;
    });
}

} /* namespace shim */

using namespace shim;

extern "C" {

/* ---- allocation ---- */

cudaError_t cudaMemGetInfo(size_t *free_out, size_t *total_out)
{
    struct cudaDeviceProp p;
    cudaError_t error = cudaGetDeviceProperties(&p, current_device());
    std::lock_guard<std::mutex> hold(lock);

    if (error != cudaSuccess)
        return error;
    *total_out = p.totalGlobalMem;
    *free_out = p.totalGlobalMem - used[current_device()];
    return enter();
}

cudaError_t cudaMalloc(void **address_out, size_t bytes)
{
    cudaError_t error = enter();
    size_t free_bytes = 0, total;

    if (error == cudaSuccess)
        error = cudaMemGetInfo(&free_bytes, &total);
    if (error != cudaSuccess)
        return error;
    if (bytes > free_bytes || due("oom"))
        return note(cudaErrorMemoryAllocation);
    error = take(bytes, cudaMemoryTypeDevice, address_out);
    if (error == cudaSuccess) {
        std::lock_guard<std::mutex> hold(lock);

        used[current_device()] += bytes;
    }
    return error;
}

cudaError_t cudaFree(void *address)
{
    return address == NULL ? enter() : give(address, cudaMemoryTypeDevice);
}

cudaError_t cudaHostAlloc(void **address_out, size_t bytes, unsigned flags)
{
    cudaError_t error = enter();

    (void)flags;
    return error == cudaSuccess ? take(bytes, cudaMemoryTypeHost, address_out) : error;
}

cudaError_t cudaMallocHost(void **address_out, size_t bytes)
{
    return cudaHostAlloc(address_out, bytes, 0);
}

cudaError_t cudaFreeHost(void *address)
{
    return give(address, cudaMemoryTypeHost);
}

cudaError_t cudaHostRegister(void *address, size_t bytes, unsigned flags)
{
    cudaError_t error = enter();
    std::lock_guard<std::mutex> hold(lock);

    (void)flags;
    if (error == cudaSuccess)
        blocks[static_cast<unsigned char *>(address)] =
            block{bytes, cudaMemoryTypeHost, current_device(), NULL};
    return error;
}

cudaError_t cudaHostUnregister(void *address)
{
    std::unique_lock<std::mutex> hold(lock);

    if (blocks.erase(static_cast<unsigned char *>(address)) == 0)
        return note(cudaErrorInvalidValue);
    hold.unlock();
    return enter();
}

cudaError_t cudaHostGetDevicePointer(void **address_out, void *address, unsigned flags)
{
    (void)flags;
    *address_out = address;
    return enter();
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *address)
{
    struct place p = place_of(address);

    memset(attributes, 0, sizeof *attributes);
    attributes->type = p.type;
    attributes->device = p.device;
    attributes->devicePointer = p.type == cudaMemoryTypeUnregistered ? NULL : (void *)address;
    attributes->hostPointer = p.type == cudaMemoryTypeHost ? (void *)address : NULL;
    return enter();
}

/* ---- copies ---- */

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    (void)kind;
    return copy_now(line(to, from, bytes));
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    (void)kind;
    return copy_on(stream, line(to, from, bytes));
}

cudaError_t cudaMemcpyPeer(void *to, int to_device, const void *from, int from_device, size_t bytes)
{
    (void)to_device;
    (void)from_device;
    return copy_now(line(to, from, bytes));
}

cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device,
                                size_t bytes, cudaStream_t stream)
{
    (void)to_device;
    (void)from_device;
    return copy_on(stream, line(to, from, bytes));
}

static struct copy rectangle(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                             size_t width, size_t height)
{
    struct copy c = line(to, from, width);

    c.to_pitch = to_pitch;
    c.from_pitch = from_pitch;
    c.height = height;
    return c;
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                         size_t width, size_t height, enum cudaMemcpyKind kind)
{
    (void)kind;
    return copy_now(rectangle(to, to_pitch, from, from_pitch, width, height));
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, enum cudaMemcpyKind kind,
                              cudaStream_t stream)
{
    (void)kind;
    return copy_on(stream, rectangle(to, to_pitch, from, from_pitch, width, height));
}

/* StarPU's alone: Palombe copies nothing of three dimensions. */
cudaError_t cudaMemcpy3DPeer(const struct cudaMemcpy3DPeerParms *parameters)
{
    (void)parameters;
    return note(cudaErrorNotSupported);
}

cudaError_t cudaMemcpy3DPeerAsync(const struct cudaMemcpy3DPeerParms *parameters,
                                  cudaStream_t stream)
{
    (void)stream;
    return cudaMemcpy3DPeer(parameters);
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    return fill_on(NULL, to, value, bytes);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    return fill_on(stream, to, value, bytes);
}

size_t plb_shim_unpinned_copies(void)
{
    std::lock_guard<std::mutex> hold(lock);

    return unpinned_copies;
}

} /* extern "C" */
