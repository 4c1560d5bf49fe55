# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: data that programs read; doc/costs.md and doc/platforms.md say what it is.
costsdir = $(pkgdatadir)/costs
dist_costs_DATA = \
	data/costs/accelerator.json \
	data/costs/h200.json \
	data/costs/laptop.json
platformsdir = $(pkgdatadir)/platforms
dist_platforms_DATA = \
	data/platforms/1024-cards.json \
	data/platforms/2-nodes.json \
	data/platforms/4-sites.json \
	data/platforms/8-cards.json \
	data/platforms/accelerator.json \
	data/platforms/laptop-2.json
