/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole files: what is read within limits, and that nobody ever sees a half-written file. */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "tests/support/plb_test.h"

/* How many entries of the test's folder have a name that begins so. */
static int count_entries(const char *begin)
{
    int count = 0;
    DIR *folder = opendir(plb_test_tmpdir());
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        count += strncmp(entry->d_name, begin, strlen(begin)) == 0;
    if (folder != NULL)
        closedir(folder);
    return count;
}

static void check_content(const char *path, const char *expected)
{
    size_t bytes = 0;
    char *content = plb_test_read_file(path, &bytes);
    PLB_CHECK_STRING(content, expected);
    free(content);
}

static void reads_within_the_limit(void)
{
    const char *path = plb_test_tmp("five");
    char *data = NULL;
    size_t bytes = 0;
    PLB_REQUIRE(plb_test_write_file(path, "a\0bcd", 5));
    PLB_CHECK_EQ(plb_file_read(path, 5, &data, &bytes), PLB_OK);
    PLB_CHECK_EQ(bytes, 5);
    PLB_CHECK_MEMORY(data, "a\0bcd", 6);
    free(data);
    data = NULL;
    PLB_CHECK_EQ(plb_file_read(path, 4, &data, &bytes), PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "5 bytes, more than the limit of 4");
    PLB_CHECK(data == NULL);
}

static void refuses_what_is_no_file(void)
{
    char *data = NULL;
    size_t bytes = 0;
    PLB_CHECK_EQ(plb_file_read(plb_test_tmp("absent"), 9, &data, &bytes), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "No such file");
    PLB_CHECK_EQ(plb_file_read(plb_test_tmpdir(), 9, &data, &bytes), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "is not a regular file");
    PLB_CHECK_EQ(plb_file_read("/dev/zero", 9, &data, &bytes), PLB_ERROR_IO);
}

static void replaces_as_a_whole(void)
{
    const char *path = plb_test_tmp("whole");
    plb_file_writer_t *writer = NULL;
    PLB_REQUIRE(plb_file_write_atomic(path, "old", 3) == PLB_OK);
    PLB_REQUIRE(plb_file_writer_open(path, &writer) == PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_append(writer, "new", 3), PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_sync(writer), PLB_OK);
    check_content(path, "old");
    PLB_CHECK_EQ(plb_file_writer_write_at(writer, 1, "E", 1), PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_append(writer, "er", 2), PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_commit(writer), PLB_OK);
    check_content(path, "nEwer");
    PLB_CHECK_EQ(count_entries("whole"), 1);
}

static void aborting_leaves_the_old_file(void)
{
    const char *path = plb_test_tmp("kept");
    plb_file_writer_t *writer = NULL;
    PLB_REQUIRE(plb_file_write_atomic(path, "old", 3) == PLB_OK);
    PLB_REQUIRE(plb_file_writer_open(path, &writer) == PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_append(writer, "new", 3), PLB_OK);
    PLB_CHECK_EQ(count_entries("kept"), 2);
    plb_file_writer_abort(writer);
    check_content(path, "old");
    PLB_CHECK_EQ(count_entries("kept"), 1);
}

static void two_writers_do_not_meet(void)
{
    const char *path = plb_test_tmp("both");
    plb_file_writer_t *a = NULL, *b = NULL;
    PLB_REQUIRE(plb_file_writer_open(path, &a) == PLB_OK);
    PLB_REQUIRE(plb_file_writer_open(path, &b) == PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_append(a, "aaa", 3), PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_append(b, "b", 1), PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_commit(a), PLB_OK);
    check_content(path, "aaa");
    PLB_CHECK_EQ(plb_file_writer_commit(b), PLB_OK);
    check_content(path, "b");
}

static void says_why_it_cannot_write(void)
{
    char *path = NULL;
    PLB_CHECK_EQ(plb_file_write_atomic(plb_test_tmp("no/such/folder"), "x", 1), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "No such file or directory");
    PLB_CHECK_EQ(plb_file_write_atomic(plb_test_tmpdir(), "x", 1), PLB_ERROR_IO);
    PLB_REQUIRE(plb_file_join(plb_test_tmpdir(), "locked", &path) == PLB_OK);
    PLB_REQUIRE(mkdir(path, 0555) == 0);
    if (geteuid() != 0) { /* root may write anywhere */
        PLB_CHECK_EQ(plb_file_write_atomic(plb_test_tmp("locked/x"), "x", 1), PLB_ERROR_IO);
        PLB_CHECK_CONTAINS(plb_error_message(), "Permission denied");
    }
    free(path);
}

/* /dev/full is a disk that is full; it is also a target that is written directly. */
static void reports_a_full_disk(void)
{
    PLB_CHECK_EQ(plb_file_write_atomic("/dev/full", "x", 1), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "cannot write /dev/full: No space left on device");
    PLB_CHECK_EQ(plb_file_write_atomic("/dev/null", "x", 1), PLB_OK);
    struct stat info;
    PLB_CHECK(stat("/dev/null", &info) == 0 && S_ISCHR(info.st_mode));
}

/* A limit on the size of files is the nearest to a disk that fills up half-way. */
static void a_write_that_fails_half_way_leaves_the_old_file(void)
{
    const char *path = plb_test_tmp("limited");
    struct rlimit old, small;
    static char block[8192];
    PLB_REQUIRE(plb_file_write_atomic(path, "old", 3) == PLB_OK);
    PLB_REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = old;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    PLB_REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    enum plb_status written = plb_file_write_atomic(path, block, sizeof block);
    PLB_REQUIRE(setrlimit(RLIMIT_FSIZE, &old) == 0);
    signal(SIGXFSZ, SIG_DFL);
    PLB_CHECK_EQ(written, PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "File too large");
    check_content(path, "old");
    PLB_CHECK_EQ(count_entries("limited"), 1);
}

/* No disk has 2^60 bytes; a file system that cannot set space aside would say so when writing. */
static void more_than_the_disk_holds_is_refused_at_once(void)
{
    static const uint64_t bytes = UINT64_C(1) << 60;
    plb_file_writer_t *writer = NULL;
    PLB_REQUIRE(plb_file_writer_open(plb_test_tmp("huge"), &writer) == PLB_OK);
    int probe = open(plb_test_tmp("probe"), O_RDWR | O_CREAT, 0600);
    bool offered = fallocate(probe, FALLOC_FL_KEEP_SIZE, 0, 4096) == 0;
    close(probe);
    PLB_CHECK_EQ(plb_file_writer_reserve(writer, bytes), offered ? PLB_ERROR_IO : PLB_OK);
    if (offered)
        PLB_CHECK_CONTAINS(plb_error_message(), "cannot write the 1152921504606846976 bytes of");
    PLB_CHECK_EQ(plb_file_writer_reserve(writer, UINT64_MAX), PLB_ERROR_INVALID);
    plb_file_writer_abort(writer);
    PLB_CHECK_EQ(count_entries("huge"), 0);
}

static void a_file_has_the_size_that_was_written(void)
{
    const char *path = plb_test_tmp("short");
    plb_file_writer_t *writer = NULL;
    PLB_REQUIRE(plb_file_writer_open(path, &writer) == PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_reserve(writer, 1 << 20), PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_append(writer, "abc", 3), PLB_OK);
    PLB_CHECK_EQ(plb_file_writer_commit(writer), PLB_OK);
    check_content(path, "abc");
}

static void makes_directories(void)
{
    const char *path = plb_test_tmp("one/two/three");
    PLB_CHECK_EQ(plb_file_make_directory(path), PLB_OK);
    PLB_CHECK(plb_file_is_directory(path));
    PLB_CHECK_EQ(plb_file_make_directory(path), PLB_OK);
    PLB_REQUIRE(plb_file_write_atomic(plb_test_tmp("one/file"), "x", 1) == PLB_OK);
    PLB_CHECK_EQ(plb_file_make_directory(plb_test_tmp("one/file/below")), PLB_ERROR_IO);
    PLB_CHECK(plb_file_exists_in(plb_test_tmp("one"), "file"));
    PLB_CHECK(!plb_file_exists_in(plb_test_tmp("one"), "two"));
}

static void joins_paths(void)
{
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = NULL;
        PLB_CHECK_EQ(plb_file_join(cases[i][0], cases[i][1], &path), PLB_OK);
        PLB_CHECK_STRING(path, cases[i][2]);
        free(path);
    }
}

static void survives_without_memory(void)
{
    const char *path = plb_test_tmp("memory");
    for (long n = 1; plb_test_alloc_available(); n++) {
        plb_test_alloc_fail_at(n);
        enum plb_status status = plb_file_write_atomic(path, "x", 1);
        if (!plb_test_alloc_stop())
            break;
        /* libc does without some of what it asks for */
        PLB_CHECK(status == PLB_ERROR_MEMORY || status == PLB_OK);
    }
    PLB_CHECK_EQ(count_entries("memory.tmp"), 0);
}

PLB_TEST_MAIN("runtime/base/file", NULL, NULL, PLB_TEST(reads_within_the_limit),
              PLB_TEST(refuses_what_is_no_file), PLB_TEST(replaces_as_a_whole),
              PLB_TEST(aborting_leaves_the_old_file), PLB_TEST(two_writers_do_not_meet),
              PLB_TEST(says_why_it_cannot_write), PLB_TEST(reports_a_full_disk),
              PLB_TEST(a_write_that_fails_half_way_leaves_the_old_file),
              PLB_TEST(more_than_the_disk_holds_is_refused_at_once),
              PLB_TEST(a_file_has_the_size_that_was_written), PLB_TEST(makes_directories),
              PLB_TEST(joins_paths), PLB_TEST(survives_without_memory))
