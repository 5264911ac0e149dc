package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// A function with 1,769 MB has one CPU, and one with less its share of it.
const (
	period = 20_000              // microseconds in which the share is spent
	quota  = period * 128 / 1769 // of them, at 128 MB
)

// newGroup makes a control group with the CPU share of a 128 MB function and
// returns its folder, or why there is none: it takes root and cgroup v2, or the
// cpu controller of v1.
func newGroup() (dir string, err error) {
	name := "gatehouse-bench-" + strconv.Itoa(os.Getpid())
	most := strconv.Itoa(quota)
	settings := map[string]string{"cpu.max": most + " " + strconv.Itoa(period)}
	dir = filepath.Join("/sys/fs/cgroup", name)
	if _, err := os.Stat("/sys/fs/cgroup/cpu"); err == nil { // v1
		dir = filepath.Join("/sys/fs/cgroup/cpu", name)
		settings = map[string]string{"cpu.cfs_period_us": strconv.Itoa(period), "cpu.cfs_quota_us": most}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("no CPU share: %w", err)
	}
	for file, value := range settings {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0o600); err != nil {
			return "", fmt.Errorf("no CPU share: %w", errors.Join(err, os.Remove(dir)))
		}
	}
	return dir, nil
}
