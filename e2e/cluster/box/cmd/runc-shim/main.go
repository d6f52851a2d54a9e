// runc-shim stands before runc on machines that cannot give a container what its spec asks for:
//   - cgroup2 without the cpu, memory and pids controllers (they are bound to cgroup v1): drop linux.resources but its device rules,
//   - a bounding set without some capability: drop that capability.
//
// Everything else, and every other runc command, passes through.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
)

func main() {
	file, whole := specFile(os.Args[1:])
	if file != "" {
		if err := edit(file, whole); err != nil {
			fmt.Fprintf(os.Stderr, "runc-shim: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
	runc := findRunc()
	err := syscall.Exec(runc, append([]string{"runc"}, os.Args[1:]...), os.Environ())
	fmt.Fprintf(os.Stderr, "runc-shim: cannot run %s: %v\n", runc, err)
	os.Exit(1)
}

func findRunc() string {
	for _, path := range []string{os.Getenv("REAL_RUNC"), "/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc"} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return path
		}
	}
	return "runc"
}

// specFile finds the JSON that runc is about to read: a bundle's config.json (create, run), which is the whole
// spec, or the bare process that `runc exec` is given.
func specFile(args []string) (file string, whole bool) {
	bundle, process := ".", ""
	for i, arg := range args {
		switch {
		case arg == "create" || arg == "run":
			whole = true
		case (arg == "--bundle" || arg == "-b") && i+1 < len(args):
			bundle = args[i+1]
		case strings.HasPrefix(arg, "--bundle="):
			bundle = strings.TrimPrefix(arg, "--bundle=")
		case (arg == "--process" || arg == "-p") && i+1 < len(args):
			process = args[i+1]
		}
	}
	if whole {
		return bundle + "/config.json", true
	}
	return process, false
}

func edit(path string, whole bool) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&spec); err != nil {
		return err
	}
	process := spec
	if whole {
		if !controllersAvailable() {
			trimResources(spec)
		}
		process, _ = spec["process"].(map[string]any)
	}
	boundCapabilities(process)
	out, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(path, out, 0o600)
}
