package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func controllersAvailable() bool {
	controllers, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return slices.Contains(strings.Fields(string(controllers)), "memory")
}

// trimResources drops the limits that no controller could enforce. The device rules stay: they are a BPF program
// in cgroup2, and a privileged container without its "allow all" cannot open /dev/null.
//
// Without controllers kubelet makes no cgroup for a pod, so give each pod its own directory, as it would.
func trimResources(spec map[string]any) {
	linux, ok := spec["linux"].(map[string]any)
	if !ok {
		return
	}
	if resources, ok := linux["resources"].(map[string]any); ok {
		linux["resources"] = map[string]any{"devices": resources["devices"]}
	}
	annotations, _ := spec["annotations"].(map[string]any)
	uid, _ := annotations["io.kubernetes.cri.sandbox-uid"].(string)
	path, _ := linux["cgroupsPath"].(string)
	if uid != "" && strings.HasPrefix(path, "/k8s.io/") {
		linux["cgroupsPath"] = "/kubepods/pod" + uid + "/" + filepath.Base(path)
	}
}
