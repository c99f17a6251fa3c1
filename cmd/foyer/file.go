package main

import (
	"crypto/sha256"
	"io"
	"os"

	"foyer"
	"foyer/csvfile"
)

// fileInput is a file on disk as rows.
type fileInput struct {
	file    *os.File
	sniffer csvfile.Sniffer
	options csvfile.Options
}

// digest reads the file to its end, finds out its encoding, and returns its SHA-256. It must come before Rows.
func (in *fileInput) digest() ([]byte, error) {
	sum := sha256.New()
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	_, err := io.CopyBuffer(io.MultiWriter(&in.sniffer, sum), struct{ io.Reader }{in.file}, make([]byte, 256<<10))
	return sum.Sum(nil), err
}

// Rows implements reconcile.Input.
func (in *fileInput) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return csvfile.Rows(in.file, &in.sniffer, in.options, yield)
}

// Close closes the file.
func (in *fileInput) Close() error { return in.file.Close() }
