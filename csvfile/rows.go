package csvfile

import (
	"errors"
	"io"

	"foyer"
)

// Rows reads a whole file: it calls yield for each row, which is good only until yield returns, and returns what was wrong with the file as a
// whole. It stops at the first error of yield. A *foyer.Error of its own means that the file must be refused.
func Rows(r io.Reader, s *Sniffer, o Options, yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	reader, err := NewReader(r, s, o)
	if err != nil {
		return nil, err
	}
	var row foyer.Row
	for {
		err := reader.Next(&row)
		if errors.Is(err, io.EOF) {
			return reader.Warnings(), nil
		}
		if err != nil {
			return nil, err
		}
		if err := yield(&row); err != nil {
			return nil, err
		}
	}
}
