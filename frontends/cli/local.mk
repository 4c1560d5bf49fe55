# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: the program.
palombe_SOURCES += \
	%D%/bench.h \
	%D%/bench_generate.c \
	%D%/bench_rates.c \
	%D%/bench_replan.c \
	%D%/bench_train.c \
	%D%/chart.c \
	%D%/cli.h \
	%D%/compare.c \
	%D%/compare.h \
	%D%/compare_picture.c \
	%D%/compare_report.c \
	%D%/compare_run.c \
	%D%/doctor.c %D%/doctor.h %D%/doctor_cuda.c \
	%D%/generate.c \
	%D%/granularity.c \
	%D%/granularity.h \
	%D%/granularity_picture.c \
	%D%/inspect.c \
	%D%/interrupt.c \
	%D%/machine.c \
	%D%/main.c \
	%D%/options.def \
	%D%/output.c \
	%D%/picture.c \
	%D%/plan.c \
	%D%/plan_film.c \
	%D%/plan_film.h \
	%D%/plan_picture.c \
	%D%/planner.c \
	%D%/planner.h \
	%D%/presets.c \
	%D%/program.c \
	%D%/progress.c \
	%D%/settings.c \
	%D%/simulate.c \
	%D%/simulate.h \
	%D%/simulate_choice.c \
	%D%/simulate_film.c \
	%D%/simulate_film.h \
	%D%/simulate_picture.c \
	%D%/simulate_report.c \
	%D%/svg.c \
	%D%/svg.h \
	%D%/train.c \
	%D%/train.h \
	%D%/train_report.c \
	%D%/train_setup.c \
	%D%/workload.c \
	%D%/workload.h
