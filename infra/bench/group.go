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
// cpu controller of v1. What else the machine does comes after it, or the share
// would be less.
func newGroup() (dir string, err error) {
	most := strconv.Itoa(quota)
	settings := map[string]string{"cpu.max": most + " " + strconv.Itoa(period), "cpu.weight": "10000"}
	root := "/sys/fs/cgroup"
	if _, err := os.Stat("/sys/fs/cgroup/cpu"); err == nil { // v1
		root = "/sys/fs/cgroup/cpu"
		settings = map[string]string{"cpu.cfs_period_us": strconv.Itoa(period), "cpu.cfs_quota_us": most, "cpu.shares": "262144"}
	}
	if dir, err = os.MkdirTemp(root, "gatehouse-bench-"); err != nil {
		return "", fmt.Errorf("no CPU share: %w", err)
	}
	for file, value := range settings {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0o600); err != nil {
			return "", fmt.Errorf("no CPU share: %w", errors.Join(err, os.Remove(dir)))
		}
	}
	return dir, nil
}

// canShare reports why processes cannot be given a share, as an error.
func canShare() error {
	dir, err := newGroup()
	if err != nil {
		return err
	}
	return removeGroup(dir)
}

func removeGroup(dir string) error {
	if dir == "" {
		return nil
	}
	return os.Remove(dir)
}
