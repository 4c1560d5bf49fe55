/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where OpenCL buffers lie as kernels on the CPU see them: a table that is filled when an address
 * is first asked for.
 */
#include "config.h"

#ifdef PLB_HAVE_OPENCL

#include "runtime/run/opencl_layer.h"

#include <stdlib.h>

/* An open hash table, buffer to address; a power of two, at most half full. */
static struct {
    pthread_mutex_t lock;
    size_t n, capacity;
    struct {
        cl_mem buffer;
        void *address;
    } * entry;
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t place_of(cl_mem buffer)
{
    size_t k = ((uintptr_t)buffer >> 4) * 0x9e3779b97f4a7c15u >> 20 & (known.capacity - 1);

    while (known.entry[k].buffer && known.entry[k].buffer != buffer)
        k = (k + 1) & (known.capacity - 1);
    return k;
}

static bool grow_known(void)
{
    size_t old = known.capacity;
    void *before = known.entry;
    __typeof__(known.entry) from = before;

    known.entry = calloc(old ? 2 * old : 1024, sizeof *known.entry);
    if (!known.entry) {
        known.entry = before;
        return false;
    }
    known.capacity = old ? 2 * old : 1024;
    for (size_t k = 0; k < old; k++)
        if (from[k].buffer)
            known.entry[place_of(from[k].buffer)] = from[k];
    free(before);
    return true;
}

static void *find_known(cl_mem buffer)
{
    void *address;

    pthread_mutex_lock(&known.lock);
    address = known.capacity ? known.entry[place_of(buffer)].address : NULL;
    pthread_mutex_unlock(&known.lock);
    return address;
}

static void add_known(cl_mem buffer, void *address)
{
    pthread_mutex_lock(&known.lock);
    if (2 * known.n < known.capacity || grow_known()) {
        size_t k = place_of(buffer);

        known.n += !known.entry[k].buffer;
        known.entry[k].buffer = buffer;
        known.entry[k].address = address;
    }
    pthread_mutex_unlock(&known.lock);
}

/* Removes an entry and moves those behind it up, so that they are found without it. */
void plb__opencl_forget(cl_mem buffer)
{
    size_t k;

    pthread_mutex_lock(&known.lock);
    k = known.capacity ? place_of(buffer) : 0;
    if (known.capacity && known.entry[k].buffer) {
        known.entry[k].buffer = NULL;
        known.entry[k].address = NULL;
        known.n--;
        for (k = (k + 1) & (known.capacity - 1); known.entry[k].buffer;
             k = (k + 1) & (known.capacity - 1)) {
            __typeof__(*known.entry) moved = known.entry[k];

            known.entry[k].buffer = NULL;
            known.entry[k].address = NULL;
            known.entry[place_of(moved.buffer)] = moved;
        }
    }
    pthread_mutex_unlock(&known.lock);
}

/* On the CPU a buffer's storage is what a mapping shows, so its address holds after the unmapping,
 * which StarPU's own transfers want. */
void *plb__opencl_address(cl_command_queue queue, cl_mem buffer)
{
    void *address = find_known(buffer);
    size_t bytes;
    cl_int error;

    if (address)
        return address;
    if (clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof bytes, &bytes, NULL) != CL_SUCCESS)
        return NULL;
    address = clEnqueueMapBuffer(queue, buffer, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, bytes, 0,
                                 NULL, NULL, &error);
    if (!address)
        return NULL;
    clEnqueueUnmapMemObject(queue, buffer, address, 0, NULL, NULL);
    clFinish(queue);
    add_known(buffer, address);
    return address;
}

#endif
