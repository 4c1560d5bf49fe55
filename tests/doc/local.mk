# SPDX-License-Identifier: BSD-3-Clause
# The pages: each command that they show is run.
dist_check_SCRIPTS = %D%/test_commands.sh %D%/test_operator.sh
TESTS += %D%/test_commands.sh %D%/test_operator.sh
