# SPDX-License-Identifier: BSD-3-Clause
# The pages: each command that they show is run.
dist_check_SCRIPTS = %D%/test_commands.sh %D%/test_headers.sh %D%/test_operator.sh
# They test the pages, not memory: once, in the plain build.
if !SANITIZER
TESTS += %D%/test_commands.sh %D%/test_headers.sh %D%/test_operator.sh
endif
