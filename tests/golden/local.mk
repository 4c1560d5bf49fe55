# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: models and tokenizers made with transformers, and the scripts that made them.
EXTRA_DIST += \
	%D%/README.md \
	%D%/check_in_transformers.py \
	%D%/golden_text.py \
	%D%/make_golden.py \
	%D%/gpt2 \
	%D%/gpt2_sharded \
	%D%/llama_bf16 \
	%D%/llama_tied \
	%D%/llama_untied \
	%D%/tokenizer_gpt2 \
	%D%/tokenizer_llama3
