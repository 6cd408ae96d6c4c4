// A small service and its benchmark in one: 32 clients ask, think for 5 ms, and ask again, for 1.5 seconds. A request
// costs about 0.4 ms of CPU time and leaves its answer in a cache that all share. Prints how many requests were answered
// a second, and how long the slowest percent of them took, counted from when the client had thought enough.
package main

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"
)

const (
	clients  = 32
	think    = 5 * time.Millisecond
	duration = 1500 * time.Millisecond
)

type service struct {
	slots chan struct{} // so many requests are worked on at once; the others wait in line
	lock  sync.Mutex
	cache map[int][sha256.Size]byte
}

func (s *service) handle(request int) {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	sum := sha256.Sum256(fmt.Appendf(nil, "request %d", request))
	for i := 0; i < 4000; i++ {
		sum = sha256.Sum256(sum[:])
	}
	s.lock.Lock()
	s.cache[request%1024] = sum
	s.lock.Unlock()
}

func main() {
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	s := &service{slots: slots, cache: map[int][sha256.Size]byte{}}
	latencies := make([][]time.Duration, clients)
	begun := time.Now()
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for n := 0; time.Since(begun) < duration; n++ {
				asked := time.Now().Add(think)
				time.Sleep(think)
				s.handle(client*1000 + n)
				latencies[client] = append(latencies[client], time.Since(asked))
			}
		})
	}
	all.Wait()
	elapsed := time.Since(begun)
	var every []time.Duration
	for _, some := range latencies {
		every = append(every, some...)
	}
	sort.Slice(every, func(a, b int) bool { return every[a] < every[b] })
	fmt.Printf("rps: %.1f\n", float64(len(every))/elapsed.Seconds())
	fmt.Printf("p99=%.3fms\n", every[len(every)*99/100].Seconds()*1000)
}
