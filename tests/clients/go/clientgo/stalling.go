package main

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// stalling is a transport whose watches can be left unread, as by a program that hangs.
type stalling struct {
	begun atomic.Int64 // watches that were asked for
	mu    sync.RWMutex // held while nobody reads
}

func (s *stalling) stop()   { s.mu.Lock() }
func (s *stalling) resume() { s.mu.Unlock() }

func (s *stalling) wrap(inner http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		answer, err := inner.RoundTrip(request)
		if err == nil && request.URL.Query().Get("watch") != "" {
			s.begun.Add(1)
			answer.Body = &unread{ReadCloser: answer.Body, gate: &s.mu}
		}
		return answer, err
	})
}

// unread reads only while the gate is open.
type unread struct {
	io.ReadCloser
	gate *sync.RWMutex
}

func (u *unread) Read(into []byte) (int, error) {
	u.gate.RLock()
	//lint:ignore SA2001 passing through the gate is all that is wanted
	u.gate.RUnlock()
	return u.ReadCloser.Read(into)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
