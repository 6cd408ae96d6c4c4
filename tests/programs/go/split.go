// As c/split.c, in Go: the leaf keeps no frame pointer, and the comparison is the runtime's assembly.
package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

var (
	left, right = make([]byte, 1<<14), make([]byte, 1<<14)
	sink        uint64
)

// cpuS is the CPU time of this thread, in seconds.
func cpuS() float64 {
	const clockThreadCPUTime = 3
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPUTime, uintptr(unsafe.Pointer(&now)), 0)
	return float64(now.Sec) + float64(now.Nsec)*1e-9
}

//go:noinline
func spin(rounds uint64) uint64 {
	state := uint64(1)
	for round := uint64(0); round < rounds; round++ {
		state = state*6364136223846793005 + round
	}
	return state
}

//go:noinline
func threeQuarters(untilS float64) {
	for cpuS() < untilS {
		sink += spin(20000)
		for i := 0; i < 40; i++ {
			sink += uint64(bytes.Compare(left, right))
		}
	}
}

//go:noinline
func oneQuarter(untilS float64) {
	for cpuS() < untilS {
		sink += spin(20000)
		for i := 0; i < 40; i++ {
			sink += uint64(bytes.Compare(left, right))
		}
		sink++
	}
}

func main() {
	runtime.LockOSThread()
	allS := 4.0
	if len(os.Args) > 1 {
		allS, _ = strconv.ParseFloat(os.Args[1], 64)
	}
	random := rand.New(rand.NewSource(1))
	var spentS [2]float64
	nowS := cpuS()
	for endS := nowS + allS; nowS < endS; {
		begunS := nowS
		untilS := begunS + 1e-3*(0.5+random.Float64())
		which := 0
		if spentS[0] > 3*spentS[1] {
			which = 1
			oneQuarter(untilS)
		} else {
			threeQuarters(untilS)
		}
		nowS = cpuS()
		spentS[which] += nowS - begunS
	}
	fmt.Printf("%.4f\n", spentS[0]/(spentS[0]+spentS[1]))
}
