module github.com/axoneme/axoneme/e2e/cluster/box

go 1.26.0
