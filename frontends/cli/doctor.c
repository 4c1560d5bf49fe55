/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe doctor: what this machine has, what is wrong with it, and how to mend it.
 */
#include "config.h"

#include "frontends/cli/doctor.h"

#include "codelets/common/blas.h"
#include "codelets/common/cpu.h"
#include "runtime/run/device.h"
#include "runtime/run/disk.h"
#include "runtime/run/session.h"

#include <dlfcn.h>
#include <hwloc.h>
#include <starpu.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const state_names[] = {[GOOD] = "ok", [ABSENT] = "absent", [WRONG] = "wrong"};

struct finding *doctor_add(struct report *report, const char *subject, enum state state,
                           const char *format, ...)
{
    struct finding *f = &report->finding[report->n++];
    va_list arguments;

    *f = (struct finding){.subject = subject, .state = state};
    va_start(arguments, format);
    vsnprintf(f->text, sizeof f->text, format, arguments);
    va_end(arguments);
    return f;
}

void doctor_mend(struct finding *finding, const char *how)
{
    snprintf(finding->mend, sizeof finding->mend, "%s", how);
}

/* ---- the machine ---- */

static void check_processor(struct report *report)
{
    const struct plb_cpu_features *cpu = plb_cpu_features();
    struct finding *f =
        doctor_add(report, "processor", cpu->avx2 ? GOOD : WRONG, "%s:%s%s%s%s", cpu->model,
                   cpu->avx2 ? " AVX2" : " no AVX2", cpu->avx512 ? " AVX-512" : "",
                   cpu->avx512_bf16 ? " AVX512-BF16" : "", cpu->amx_bf16 ? " AMX-BF16" : "");

    if (!cpu->avx2)
        doctor_mend(f, "everything works, but slowly: use a processor of 2013 or later");
}

static void check_topology(struct report *report)
{
    hwloc_topology_t topology;
    char bytes[32];
    int cores, nodes;
    size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);

    if (hwloc_topology_init(&topology) != 0) {
        doctor_add(report, "topology", WRONG, "hwloc has no memory for this machine's topology");
        return;
    }
    if (hwloc_topology_load(topology) != 0) {
        doctor_add(report, "topology", WRONG, "hwloc cannot read this machine's topology");
        hwloc_topology_destroy(topology);
        return;
    }
    cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
    nodes = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);
    hwloc_topology_destroy(topology);
    doctor_add(report, "topology", GOOD, "%d cores, %d NUMA node%s, %s of memory", cores, nodes,
               nodes == 1 ? "" : "s", cli_print_bytes((double)memory, bytes, sizeof bytes));
}

/* ---- StarPU ---- */

static void check_starpu(struct report *report)
{
    int version[3];
    struct finding *f;

    starpu_get_version(&version[0], &version[1], &version[2]);
    f = doctor_add(report, "StarPU", GOOD, "%d.%d.%d, %d buffers a task, %d memory nodes, %s, %s",
                   version[0], version[1], version[2], STARPU_NMAXBUFS, STARPU_MAXNODES,
#ifdef STARPU_USE_CUDA
                   "with CUDA",
#else
                   "without CUDA",
#endif
#ifdef STARPU_USE_OPENCL
                   "with OpenCL"
#else
                   "without OpenCL"
#endif
    );
    if (version[0] == 1 && version[1] < 4) {
        f->state = WRONG;
        doctor_mend(f, "StarPU 1.4 or newer is needed: run scripts/deps");
    }
}

void doctor_print_link(const struct plb_link *link, char *text, size_t size)
{
    snprintf(text, size, "%.1f GB/s from the device, %.1f GB/s to it, %.0f us a transfer",
             link->out_bytes_per_second * 1e-9, link->in_bytes_per_second * 1e-9,
             link->latency_seconds * 1e6);
}

/* Where values can go that leave the device. */
static void check_disk(struct report *report)
{
    const char *directory = plb__disk_directory(NULL);
    struct plb_link link;
    char bytes[32], rates[96];
    struct finding *f;

    if (plb_device_measure_link(PLB_DISK, directory, &link) == PLB_OK) {
        doctor_print_link(&link, rates, sizeof rates);
        cli_print_bytes((double)plb__disk_free(directory), bytes, sizeof bytes);
        doctor_add(report, "offloading", GOOD, "%s free in %s, %s", bytes, directory, rates);
        return;
    }
    f = doctor_add(report, "offloading", ABSENT, "%s", plb_error_message());
    doctor_mend(f, "name a directory with room in PALOMBE_OFFLOAD_DIR to let values go to disk");
    plb_error_clear();
}

/* A small one is started for a moment, to see that it works and how fast its link is. */
static void check_virtual(struct report *report)
{
    const struct plb_runtime_options options = {.device = "virtual:64MiB"};
    enum plb_status status = plb_runtime_start(&options);
    struct plb_platform platform;
    char rates[96];

    if (status == PLB_OK) {
        status = plb_runtime_platform(NULL, &platform);
        plb_runtime_stop();
    }
    if (status == PLB_OK) {
        doctor_print_link(&platform.link[PLB_HOST], rates, sizeof rates);
        doctor_add(report, "virtual device", GOOD, "works; %s", rates);
        return;
    }
    doctor_mend(doctor_add(report, "virtual device",
                           status == PLB_ERROR_UNAVAILABLE ? ABSENT : WRONG, "%s",
                           plb_error_message()),
                "only experiments with the memory of cards need it: see doc/devices.md");
    plb_error_clear();
}

static void check_workers(struct report *report)
{
    enum plb_status status = plb_runtime_start(NULL);
    struct finding *f;

    if (status == PLB_OK) {
        doctor_add(report, "workers", GOOD, "%d CPU workers, scheduler %s", plb_runtime_workers(),
                   plb_runtime_scheduler());
        check_disk(report);
        plb_runtime_stop();
        return;
    }
    f = doctor_add(report, "workers", WRONG, "%s", plb_error_message());
    doctor_mend(f,
                "nothing can run until this is mended; unset STARPU_* variables that you have set");
    plb_error_clear();
}

/* ---- matrix products ---- */

static void check_openblas(struct report *report, const struct plb_blas_info *blas)
{
    struct finding *f;

    if (!blas->openblas_found) {
        doctor_add(report, "OpenBLAS", ABSENT, "not installed%s",
                   blas->onednn_version[0] ? "; not needed beside oneDNN" : "");
        return;
    }
    if (blas->openblas_wrong) {
        f = doctor_add(report, "OpenBLAS", WRONG,
                       "%s takes this processor for a %s (%s wanted): %s", blas->openblas_version,
                       blas->openblas_core, blas->openblas_core_wanted, blas->openblas_reason);
        snprintf(f->mend, sizeof f->mend, "export OPENBLAS_CORETYPE=%s",
                 blas->openblas_core_wanted);
        return;
    }
    if (blas->openblas_mended)
        doctor_add(
            report, "OpenBLAS", GOOD,
            "%s takes this processor for a %s; mended: loaded again with OPENBLAS_CORETYPE=%s",
            blas->openblas_version, blas->openblas_core_detected, blas->openblas_core);
    else
        doctor_add(report, "OpenBLAS", GOOD, "%s, core %s", blas->openblas_version,
                   blas->openblas_core);
}

static void check_blas(struct report *report)
{
    struct plb_blas_info blas;
    struct finding *f;

    plb_blas_inspect(&blas);
    f = doctor_add(report, "matrix products", GOOD, "%s; bf16 %s", blas.library, blas.bf16);
    if (strcmp(blas.library, "none") == 0) {
        f->state = WRONG;
        doctor_mend(f, "install libdnnl-dev and configure again, or install libopenblas0");
    }
    if (blas.onednn_version[0])
        doctor_add(report, "oneDNN", GOOD, "%s, %s", blas.onednn_version, blas.onednn_isa);
    else
        doctor_mend(doctor_add(report, "oneDNN", ABSENT, "not built in"),
                    "install libdnnl-dev and configure again: it is faster and needs no mending");
    check_openblas(report, &blas);
}

/* ---- what may be there ---- */

static bool is_on_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[1024];

    while (path && *path) {
        size_t n = strcspn(path, ":");

        snprintf(file, sizeof file, "%.*s/%s", (int)n, path, program);
        if (access(file, X_OK) == 0)
            return true;
        path += n;
        path += *path == ':';
    }
    return false;
}

static void check_mpi(struct report *report)
{
    if (is_on_path("mpirun"))
        doctor_add(report, "MPI", GOOD, "mpirun is on the path");
    else
        doctor_mend(doctor_add(report, "MPI", ABSENT, "no mpirun on the path: one machine only"),
                    "install openmpi-bin for runs over several machines");
}

static void check_graphviz(struct report *report)
{
    if (is_on_path("dot"))
        doctor_add(report, "Graphviz", GOOD, "graphs can be drawn");
    else
        doctor_mend(doctor_add(report, "Graphviz", ABSENT, "graphs are written as DOT only"),
                    "install graphviz for pictures of graphs");
}

/* ---- the report ---- */

static enum plb_status print_json(const struct report *report, bool healthy)
{
    json_t *findings = json_array();

    for (int k = 0; k < report->n; k++) {
        const struct finding *f = &report->finding[k];

        json_array_append_new(findings,
                              json_pack("{s:s, s:s, s:s, s:s}", "subject", f->subject, "state",
                                        state_names[f->state], "text", f->text, "mend", f->mend));
    }
    return cli_print_json(json_pack("{s:b, s:s, s:o}", "healthy", healthy, "version",
                                    PACKAGE_VERSION, "findings", findings));
}

static void print_text(const struct report *report)
{
    printf("palombe %s\n", PACKAGE_VERSION);
    for (int k = 0; k < report->n; k++) {
        const struct finding *f = &report->finding[k];

        printf("  %-7s %-16s %s\n", state_names[f->state], f->subject, f->text);
        if (f->mend[0])
            printf("  %-7s %-16s -> %s\n", "", "", f->mend);
    }
}

enum plb_status cli_doctor(const struct plb_settings *settings)
{
    struct report report = {.n = 0};
    int wrong = 0;

    check_processor(&report);
    check_starpu(&report);
    check_workers(&report);
    check_virtual(&report);
    check_topology(&report); /* hwloc may use OpenCL, of which the virtual device must be first */
    check_blas(&report);
    check_mpi(&report);
    doctor_check_cuda(&report);
    check_graphviz(&report);
    for (int k = 0; k < report.n; k++)
        wrong += report.finding[k].state == WRONG;
    if (plb_settings_switch(settings, OPTION_JSON))
        PLB_TRY(print_json(&report, wrong == 0));
    else
        print_text(&report);
    if (wrong)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "%d thing%s to mend", wrong, wrong == 1 ? "" : "s");
    return PLB_OK;
}
