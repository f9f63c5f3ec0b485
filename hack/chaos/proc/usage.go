package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is USER_HZ, in which the kernel tells times: 100 on every Linux that runs Go.
const ticksPerSecond = 100

// CPU is how many seconds of the CPU it used; 0 if that cannot be known.
func (p *Process) CPU() float64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(p.Pid()) + "/stat")
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold anything; utime and stime are the 14th and 15th field.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	sum := 0.0
	for _, f := range fields[11:13] {
		n, _ := strconv.ParseFloat(f, 64)
		sum += n
	}
	return sum / ticksPerSecond
}

// HighWater is the most memory that it ever had, in bytes, by the kernel; 0 if that cannot be known.
func (p *Process) HighWater() int64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(p.Pid()) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}
