# SPDX-License-Identifier: BSD-3-Clause
dist_check_SCRIPTS = %D%/test_commands.sh
TESTS += %D%/test_commands.sh
