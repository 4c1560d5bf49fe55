/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cards, versions, errors, and what goes wrong on request.
 */
#include "tests/support/cuda/shim.h"

#include "tests/support/cuda/shim_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>

namespace shim {

enum { CARDS_MAX = 8 };

static thread_local int device_of_thread;
static thread_local cudaError_t last_error;
static std::atomic<int> lost[CARDS_MAX];

static const char *wanted(void)
{
    const char *text = getenv("PLB_CUDA_SHIM_FAIL");

    return text == NULL ? "" : text;
}

static std::atomic<long> count[2]; /* of allocations, of launches */

bool due(const char *what)
{
    size_t n = strlen(what);
    const char *text = wanted();

    if (strncmp(text, what, n) != 0 || text[n] != '@')
        return false;
    return ++count[what[0] == 'l'] == strtol(text + n + 1, NULL, 10);
}

int devices(void)
{
    const char *text = getenv("PLB_CUDA_SHIM_CARDS");
    int n = text == NULL ? 1 : atoi(text);

    return n < CARDS_MAX ? n : CARDS_MAX;
}

int current_device(void)
{
    return device_of_thread;
}

void lose(int device, cudaError_t error)
{
    int none = cudaSuccess;

    lost[device].compare_exchange_strong(none, error);
}

cudaError_t note(cudaError_t error)
{
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_error = error;
    return error;
}

static cudaError_t without_card(void)
{
    if (strcmp(wanted(), "driver-missing") == 0 || strcmp(wanted(), "driver-old") == 0)
        return cudaErrorInsufficientDriver;
    return strcmp(wanted(), "no-device") == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t enter(void)
{
    cudaError_t error = without_card();

    if (error == cudaSuccess && strcmp(wanted(), "busy") == 0)
        error = cudaErrorDevicesUnavailable;
    if (error == cudaSuccess)
        error = (cudaError_t)lost[device_of_thread].load();
    return note(error);
}

} /* namespace shim */

using namespace shim;

extern "C" {

/* ---- for tests ---- */

void plb_shim_restore(void)
{
    for (int k = 0; k < CARDS_MAX; k++)
        lost[k] = cudaSuccess;
    count[0] = count[1] = 0;
    last_error = cudaSuccess;
}

/* ---- versions ---- */

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = strcmp(wanted(), "driver-missing") == 0 ? 0
               : strcmp(wanted(), "driver-old") == 0   ? 11040
                                                       : CUDART_VERSION;
    return cudaSuccess;
}

/* ---- cards ---- */

cudaError_t cudaGetDeviceCount(int *count)
{
    cudaError_t error = without_card();

    *count = error == cudaSuccess ? devices() : 0;
    return note(error);
}

cudaError_t cudaSetDevice(int device)
{
    if (without_card() != cudaSuccess)
        return note(without_card());
    if (device < 0 || device >= devices())
        return note(cudaErrorInvalidDevice);
    device_of_thread = device;
    return enter();
}

cudaError_t cudaGetDevice(int *device)
{
    *device = device_of_thread;
    return cudaSuccess;
}

static size_t capacity(void)
{
    const char *text = getenv("PLB_CUDA_SHIM_BYTES");

    return text == NULL ? (size_t)256 << 20 : (size_t)strtoull(text, NULL, 10);
}

/* The figures of an H200, from its data sheet and the programming guide's table of capability 9.0,
 * but for the memory. */
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    if (without_card() != cudaSuccess)
        return note(without_card());
    if (device < 0 || device >= devices())
        return note(cudaErrorInvalidDevice);
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "Emulated H200");
    p->totalGlobalMem = capacity();
    p->sharedMemPerBlock = 48 << 10;
    p->sharedMemPerBlockOptin = 227 << 10;
    p->sharedMemPerMultiprocessor = 228 << 10;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->major = 9;
    p->multiProcessorCount = 132;
    p->l2CacheSize = 50 << 20;
    p->memoryBusWidth = 6144;
    p->asyncEngineCount = 3;
    p->concurrentKernels = p->unifiedAddressing = p->canMapHostMemory = 1;
    p->pciBusID = 1 + device;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr what, int device)
{
    struct cudaDeviceProp p;
    cudaError_t error = cudaGetDeviceProperties(&p, device);

    if (error != cudaSuccess)
        return error;
    *value = what == cudaDevAttrComputeCapabilityMajor         ? p.major
             : what == cudaDevAttrComputeCapabilityMinor       ? p.minor
             : what == cudaDevAttrMultiProcessorCount          ? p.multiProcessorCount
             : what == cudaDevAttrMaxSharedMemoryPerBlockOptin ? (int)p.sharedMemPerBlockOptin
             : what == cudaDevAttrPciBusId                     ? p.pciBusID
             : what == cudaDevAttrAsyncEngineCount             ? p.asyncEngineCount
             : what == cudaDevAttrMemoryClockRate              ? 3201000
             : what == cudaDevAttrClockRate                    ? 1980000
             : what == cudaDevAttrGlobalMemoryBusWidth         ? p.memoryBusWidth
             : what == cudaDevAttrL2CacheSize                  ? p.l2CacheSize
             : what == cudaDevAttrUnifiedAddressing            ? 1
             : what == cudaDevAttrConcurrentKernels            ? 1
                                                               : 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device)
{
    if (device < 0 || device >= devices())
        return note(cudaErrorInvalidDevice);
    snprintf(text, (size_t)bytes, "0000:%02x:00.0", 1 + device);
    return cudaSuccess;
}

cudaError_t cudaDeviceReset(void)
{
    return drain(device_of_thread);
}

cudaError_t cudaSetDeviceFlags(unsigned flags)
{
    (void)flags;
    return enter();
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
    *can = device != peer && device < devices() && peer < devices();
    return enter();
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags)
{
    (void)flags;
    return peer < devices() && peer != device_of_thread ? enter() : note(cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceDisablePeerAccess(int peer)
{
    (void)peer;
    return enter();
}

/* ---- errors ---- */

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;

    last_error = (cudaError_t)lost[device_of_thread].load();
    return error;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

static const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable",
     "CUDA-capable device(s) is/are busy or unavailable"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
};

const char *cudaGetErrorString(cudaError_t error)
{
    for (size_t k = 0; k < sizeof errors / sizeof errors[0]; k++) {
        if (errors[k].error == error)
            return errors[k].text;
    }
    return "unrecognized error code";
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (size_t k = 0; k < sizeof errors / sizeof errors[0]; k++) {
        if (errors[k].error == error)
            return errors[k].name;
    }
    return "unrecognized error code";
}

} /* extern "C" */
