// Command load sends traffic to a gateway and prints one JSON object about what came back.
//
// Three modes: closed (a fixed number of connections, each one request after the other: CPU per request), paced
// (requests at a fixed mean rate: latency below saturation) and streams (a fixed number of SSE streams open at any
// time; with -once each is opened once and read to its end). With -pid it also measures the CPU time and memory of
// that process and its children over exactly the measured window.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

type options struct {
	targets     []string
	mode        string
	connections int
	rate        float64
	warmS       float64
	durationS   float64
	sharedBytes int
	uniqueBytes int
	groups      int
	maxTokens   int
	once        bool
	runId       string
	pid         int
	podsPid     int
}

func readOptions() options {
	var o options
	targets := flag.String("targets", "", "host:port, or several with commas in between, used in turn by connection")
	flag.StringVar(&o.mode, "mode", "closed", "closed | paced | streams")
	flag.IntVar(&o.connections, "connections", 8, "connections (closed), most connections (paced) or streams")
	flag.Float64Var(&o.rate, "rate", 500, "requests a second (paced)")
	flag.Float64Var(&o.warmS, "warm-s", 0.5, "seconds before the measured window; streams are opened over this time")
	flag.Float64Var(&o.durationS, "duration-s", 3, "seconds of the measured window")
	flag.IntVar(&o.sharedBytes, "shared-bytes", 64, "bytes of prompt shared by all requests of a group")
	flag.IntVar(&o.uniqueBytes, "unique-bytes", 64, "bytes of prompt that no other request has")
	flag.IntVar(&o.groups, "groups", 64, "number of shared prefixes")
	flag.IntVar(&o.maxTokens, "max-tokens", 16, "tokens asked for; a stream must send exactly as many")
	flag.BoolVar(&o.once, "once", false, "streams: open each once, read all to the end")
	flag.StringVar(&o.runId, "run-id", "0", "makes the unique part of prompts differ from every other run's")
	flag.IntVar(&o.pid, "pid", 0, "root of the process tree to measure")
	flag.IntVar(&o.podsPid, "pods-pid", 0, "the pods' process, so that its CPU is not taken for a stranger's")
	flag.Parse()
	o.targets = strings.Split(*targets, ",")
	if *targets == "" {
		fmt.Fprintln(os.Stderr, "-targets is missing: give the gateway as host:port")
		os.Exit(2)
	}
	return o
}

func main() {
	o := readOptions()
	debug.SetGCPercent(400)
	prompts := newPrompts(o)
	results := &results{errors: map[string]int{}}
	start := time.Now().Add(time.Duration(o.warmS * float64(time.Second)))
	end := start.Add(time.Duration(o.durationS * float64(time.Second)))
	results.from, results.to = start, end

	usage := make(chan treeUsage, 1)
	go func() { usage <- watchTree(o.pid, o.podsPid, start, end) }()
	switch o.mode {
	case "closed":
		runClosed(o, prompts, results)
	case "paced":
		runPaced(o, prompts, results)
	case "streams":
		runStreams(o, prompts, results)
	default:
		fmt.Fprintf(os.Stderr, "-mode %q is not one of closed, paced, streams\n", o.mode)
		os.Exit(2)
	}
	line, err := json.Marshal(results.summary(<-usage))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(line))
}
