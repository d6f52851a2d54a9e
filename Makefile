# Thin names for the tasks of the repository; `cargo xtask --help` tells all.
.PHONY: setup demo test soak bench lint images cluster-up cluster-down

setup: ; cargo xtask setup
# KEEP=1 leaves it running to play with.
demo: ; cargo xtask demo $(if $(KEEP),--keep)
test: ; cargo xtask test
soak: ; cargo xtask soak
bench: ; cargo xtask bench
lint: ; cargo xtask lint
images: ; cargo xtask images
cluster-up: ; cargo xtask cluster up
cluster-down: ; cargo xtask cluster down
