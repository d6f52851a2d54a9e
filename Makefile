# Thin names for the tasks of the repository; `cargo xtask --help` tells all.
.PHONY: setup demo test test-kernels soak bench lint images cluster-up cluster-down

setup: ; cargo xtask setup
# KEEP=1 leaves it running to play with.
demo: ; cargo xtask demo $(if $(KEEP),--keep)
test: ; cargo xtask test
# KERNELS="6.1 6.12" says which; all without it.
test-kernels: ; cargo xtask kernels $(KERNELS)
soak: ; cargo xtask soak
bench: ; cargo xtask bench
lint: ; cargo xtask lint
images: ; cargo xtask images
cluster-up: ; cargo xtask cluster up
cluster-down: ; cargo xtask cluster down
