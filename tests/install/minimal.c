/* SPDX-License-Identifier: BSD-3-Clause */
/* The smallest program against an installed Palombe: it includes, links and runs. */
#include <palombe.h>

#include <stdio.h>

int main(void)
{
    return puts(plb_status_name(PLB_OK)) < 0;
}
