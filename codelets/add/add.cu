/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y = a + b on a CUDA card: 3 accesses an element, nothing kept. See add.c for the record.
 */
#include "codelets/common/map.cuh"

static enum plb_status add_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return plb_map_call<2>(call, queue, "add", plb_sum());
}

const struct plb_cuda_operator plb_cuda_add = {"add", nullptr, add_run};
