package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// In the kernel's order: the index is the bit.
var capabilities = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
CHECKPOINT_RESTORE`)

// boundCapabilities drops what our own bounding set lacks: runc would fail on it.
func boundCapabilities(process map[string]any) {
	sets, ok := process["capabilities"].(map[string]any)
	if !ok {
		return
	}
	bounding := boundingSet()
	for name, value := range sets {
		list, _ := value.([]any)
		sets[name] = slices.DeleteFunc(list, func(capability any) bool {
			name, _ := capability.(string)
			bit := slices.Index(capabilities, strings.TrimPrefix(name, "CAP_"))
			return bit >= 0 && bounding&(1<<bit) == 0
		})
	}
}

func boundingSet() uint64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "CapBnd:" {
			if set, err := strconv.ParseUint(fields[1], 16, 64); err == nil {
				return set
			}
		}
	}
	return ^uint64(0)
}
