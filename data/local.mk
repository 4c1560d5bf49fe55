# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: data that programs read; doc/costs.md says what it is.
costsdir = $(pkgdatadir)/costs
dist_costs_DATA = \
	data/costs/h200.json \
	data/costs/laptop.json
