package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Linux counts CPU time for user space in ticks of 10 ms on every machine since 2.6.
const ticksPerSecond = 100

type treeUsage struct {
	cpuSeconds      float64
	otherCpuSeconds float64
	rssMostMb       float64
}

type process struct {
	ticks int
	rssKb int
}

// watchTree measures the CPU time of a process tree from start to end and the most memory it had between them, and
// the CPU time of the whole machine less that of the tree, the pods and this process.
func watchTree(pid, podsPid int, start, end time.Time) treeUsage {
	if pid == 0 {
		return treeUsage{}
	}
	time.Sleep(time.Until(start))
	others := func(treeTicks int) int {
		ticks := readMachine() - treeTicks - readProcess(os.Getpid()).ticks
		if podsPid != pid {
			ticks -= readProcess(podsPid).ticks
		}
		return ticks
	}
	before, rssMostKb := readTree(pid)
	othersBefore := others(before)
	for time.Now().Before(end) {
		time.Sleep(min(250*time.Millisecond, time.Until(end)))
		_, rssKb := readTree(pid)
		rssMostKb = max(rssMostKb, rssKb)
	}
	after, rssKb := readTree(pid)
	return treeUsage{
		cpuSeconds:      float64(after-before) / ticksPerSecond,
		otherCpuSeconds: float64(max(0, others(after)-othersBefore)) / ticksPerSecond,
		rssMostMb:       float64(max(rssMostKb, rssKb)) / 1024,
	}
}

// readMachine gives the busy ticks of all cores, time stolen by the host included.
func readMachine() int {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	busy := 0
	for i, field := range strings.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal guest guest_nice; guest time is in user already.
		if value, err := strconv.Atoi(field); err == nil && i != 4 && i != 5 && i < 9 {
			busy += value
		}
	}
	return busy
}

func readTree(root int) (ticks, rssKb int) {
	for _, pid := range tree(root) {
		p := readProcess(pid)
		ticks += p.ticks
		rssKb += p.rssKb
	}
	return ticks, rssKb
}

// tree lists a process and its descendants, through the children file of each of their threads.
func tree(root int) []int {
	out := []int{root}
	for i := 0; i < len(out); i++ {
		threads, _ := os.ReadDir("/proc/" + strconv.Itoa(out[i]) + "/task")
		for _, thread := range threads {
			text, _ := os.ReadFile("/proc/" + strconv.Itoa(out[i]) + "/task/" + thread.Name() + "/children")
			for _, child := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(child); err == nil {
					out = append(out, pid)
				}
			}
		}
	}
	return out
}

// readProcess adds up utime, stime and those of children already reaped; zeros once the process is gone.
func readProcess(pid int) process {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}
	}
	// The command name in parentheses may hold spaces, so fields are counted from its end; the state is field 3.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	number := func(field int) int {
		value, _ := strconv.Atoi(fields[field-3])
		return value
	}
	return process{
		ticks: number(14) + number(15) + number(16) + number(17),
		rssKb: number(24) * os.Getpagesize() / 1024,
	}
}
