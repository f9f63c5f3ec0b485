package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // calendars need the time zones, also where the system has none

	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/engine"
	"github.com/marketstream/marketstream/streamer/logs"
)

// What a directory of configuration holds: the document, and its generation as JSON.
const (
	documentFile   = "stream.yaml"
	generationFile = "configGeneration"
)

// streamerCommand runs one of the many processes of a MarketStream.
func streamerCommand(ctx context.Context, args []string, _, errs io.Writer) error {
	fs := newFlags("streamer", errs)
	dir := fs.String("config", "", "directory with "+documentFile+" and "+generationFile+" (required)")
	urls := fs.String("backbone", "", "the backbone: nats://host:port, with commas between them (required)")
	credentials := fs.String("backbone-credentials", "", "file with what the backbone knows us by")
	ca := fs.String("backbone-ca", "", "file with the certificates that sign the backbone's")
	cert := fs.String("backbone-cert", "", "file with our certificate for the backbone")
	key := fs.String("backbone-key", "", "file with its key")
	replicas := fs.Int("backbone-replicas", 0, "replicas of the logs: 1 or 3; 0: as many as the backbone has nodes")
	listen := fs.String("listen", ":8080", "address for browsers")
	internal := fs.String("internal-listen", ":9090", "address for metrics, probes, status and other pods")
	address := fs.String("address", "", "host:port at which other pods reach the internal port; empty: where it listens")
	pod := fs.String("pod", "", "name of this process among those of the stream; empty: the host's, and eight letters at random")
	drain := fs.Duration("drain", 20*time.Second, "how long open streams are given to end")
	format := fs.String("log-format", "json", "console or json")
	level := fs.String("log-level", "info", "debug, info or error")
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected %q: streamer takes flags only", fs.Arg(0))
	case *dir == "":
		return errors.New("--config: name a directory with " + documentFile)
	case *urls == "":
		return errors.New("--backbone: name where the backbone is, as nats://host:4222")
	case *drain < 0:
		return fmt.Errorf("--drain %s: want it positive", *drain)
	}
	log, flush, err := newLogger(*format, *level, errs)
	if err != nil {
		return err
	}
	defer flush()
	read := func() (engine.Input, error) { return readDirectory(*dir) }
	in, err := read()
	if err != nil {
		return err
	}
	doc, _, err := checkDocument(filepath.Join(*dir, documentFile), in.Document)
	if err != nil {
		return err
	}
	public, inside, err := bindBoth(*listen, *internal)
	if err != nil {
		return err
	}
	ctx, hurry, stop := untilSignal(ctx)
	defer stop()
	err = engine.Run(ctx, engine.Options{
		Document: doc, Input: in, Read: read, Public: public, Internal: inside, Address: *address, Pod: *pod,
		Remote:  &backbone.RemoteOptions{URLs: strings.Split(*urls, ","), Credentials: *credentials, CA: *ca, Cert: *cert, Key: *key, Replicas: *replicas},
		Version: version, Log: log, DrainFor: *drain,
		Progress: func(what string) { log.Info("starting", "step", what) },
		Ready: func() {
			log.Info("serving", "public", public.Addr().String(), "internal", inside.Addr().String())
		},
		Draining: func(streams int) { log.Info("draining", "streams", streams, "within", drain.String()) },
	}, hurry)
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// readDirectory reads a document and its generation, as the operator mounts them.
func readDirectory(dir string) (in engine.Input, err error) {
	if in.Document, err = readFile(filepath.Join(dir, documentFile)); err != nil {
		return in, err
	}
	path := filepath.Join(dir, generationFile)
	text, err := readFile(path)
	if err != nil {
		return in, err
	}
	g := &logs.ConfigGeneration{}
	if err := json.Unmarshal(text, g); err != nil || g.Generation <= 0 {
		return in, fmt.Errorf("%s: %q: want {\"createdMs\":…,\"generation\":1}, the object's creation in Unix ms and its generation", path, text)
	}
	in.Generation = g
	return in, nil
}
