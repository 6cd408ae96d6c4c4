// A Go program that does not scale beyond two workers: a pool of GOMAXPROCS goroutines whose jobs hold one of two
// permits. The jobs sleep, so that the shape does not depend on the CPUs there are. It reports itself to corefit.
package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const jobs = 8

func main() {
	queue := make(chan int, jobs)
	for job := 0; job < jobs; job++ {
		queue <- job
	}
	close(queue)
	permits := make(chan struct{}, 2)
	begun := time.Now()
	var workers sync.WaitGroup
	for worker := 0; worker < runtime.GOMAXPROCS(0); worker++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for range queue {
				permits <- struct{}{}
				time.Sleep(40 * time.Millisecond)
				<-permits
			}
		}()
	}
	workers.Wait()
	elapsed := strconv.FormatFloat(time.Since(begun).Seconds(), 'f', -1, 64)
	if fd, err := strconv.Atoi(os.Getenv("COREFIT_RESULT_FD")); err == nil {
		to := os.NewFile(uintptr(fd), "result")
		to.WriteString(`{"ops":` + strconv.Itoa(jobs) + `,"elapsed_s":` + elapsed + "}\n")
	}
}
