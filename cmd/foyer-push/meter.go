package main

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// meter shows on a terminal how far it is; elsewhere nothing, since the log says it.
type meter struct {
	app *app
	mu  sync.Mutex // a file is sent beside the waiting for its answer
	bar *progressbar.ProgressBar
}

func (a *app) newMeter() *meter { return &meter{app: a} }

// start begins a bar, unless it is there; of a total that is not known where that is -1.
func (m *meter) start(total int64, what string, options ...progressbar.Option) bool {
	if !m.app.terminal {
		return false
	}
	if m.bar == nil {
		options = append(options, progressbar.OptionSetWriter(m.app.errOut), progressbar.OptionSetDescription(what), progressbar.OptionClearOnFinish(),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false))
		m.bar = progressbar.NewOptions64(total, options...)
	}
	return true
}

// read shows how many people were read.
func (m *meter) read(people int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.start(-1, "reading the directory, people") {
		m.bar.Set(people)
	}
}

// sent shows how much of a file was sent.
func (m *meter) sent(sent, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if sent <= 0 || !m.start(total, "sending", progressbar.OptionShowBytes(true)) {
		return
	}
	m.bar.Set64(sent)
	if sent == total {
		m.end() // of several files the next has a bar of its own
	}
}

// done takes the bar away.
func (m *meter) done() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end()
}

func (m *meter) end() {
	if m.bar != nil {
		m.bar.Finish()
		m.bar = nil
	}
}
