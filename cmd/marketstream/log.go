package main

import (
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger makes the program's logger on w, and what flushes it.
func newLogger(format, level string, w io.Writer) (logr.Logger, func(), error) {
	levels := map[string]zapcore.Level{"debug": zapcore.Level(-1), "info": zapcore.InfoLevel, "error": zapcore.ErrorLevel}
	at, ok := levels[level]
	if !ok {
		return logr.Logger{}, nil, fmt.Errorf("--log-level %q: one of debug, info, error", level)
	}
	var encoder zapcore.Encoder
	switch format {
	case "console":
		c := zap.NewDevelopmentEncoderConfig()
		c.EncodeLevel = zapcore.CapitalLevelEncoder
		c.CallerKey, c.StacktraceKey = "", ""
		encoder = zapcore.NewConsoleEncoder(c)
	case "json":
		c := zap.NewProductionEncoderConfig()
		c.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		c.StacktraceKey = ""
		encoder = zapcore.NewJSONEncoder(c)
	default:
		return logr.Logger{}, nil, fmt.Errorf("--log-format %q: console or json", format)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), at)
	logger := zap.New(core)
	return zapr.NewLogger(logger), func() { _ = logger.Sync() }, nil
}
