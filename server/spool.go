package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"foyer"
	"foyer/csvfile"
	"foyer/oauth"
)

// spool holds an uploaded file until it is applied: in memory while it is small, else in a file that has no name any more, so
// that nothing of it stays whatever happens to the process.
type spool struct {
	dir     string
	limit   int64
	sniffer csvfile.Sniffer
	digest  hash.Hash
	memory  []byte
	file    *os.File
	size    int64
}

// spoolMemory is how much of a file is held in memory, in bytes.
const spoolMemory = 1 << 20

func newSpool(dir string, limit int64) *spool {
	return &spool{dir: dir, limit: limit, digest: sha256.New()}
}

// Write takes the next bytes of the file.
func (s *spool) Write(p []byte) (int, error) {
	if s.size += int64(len(p)); s.size > s.limit {
		return 0, foyer.Errorf(foyer.TooLarge, "the file is larger than %d bytes; send only the people and the columns that visitors need", s.limit)
	}
	s.sniffer.Write(p)
	s.digest.Write(p)
	if s.file == nil && s.size <= spoolMemory {
		s.memory = append(s.memory, p...)
		return len(p), nil
	}
	if err := s.openFile(); err != nil {
		return 0, err
	}
	n, err := s.file.Write(p)
	return n, spoolError(err)
}

// spoolError is what the sender is told where the disk does not take the file.
func spoolError(err error) error {
	if err == nil {
		return nil
	}
	return &foyer.Error{Kind: foyer.Busy, Message: "the upload could not be stored; nothing was changed, try again", Err: err, RetryAfter: time.Minute}
}

func (s *spool) openFile() error {
	if s.file != nil {
		return nil
	}
	f, err := os.CreateTemp(s.dir, "upload-*")
	if err != nil {
		return spoolError(err)
	}
	os.Remove(f.Name())
	s.file = f
	_, err = f.Write(s.memory)
	s.memory = nil
	return spoolError(err)
}

// reader returns the bytes of the file from the first on.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.memory)
	}
	return io.NewSectionReader(s.file, 0, s.size)
}

// Close gives the space back.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// bodyTypes are the media types of a file that is the body itself. The seed's WebClient labels it as a form when it is told to.
var bodyTypes = map[string]bool{
	"text/csv": true, "application/csv": true, "text/plain": true, "application/octet-stream": true,
	"application/x-www-form-urlencoded": true, "application/vnd.ms-excel": true, "": true,
}

// receive reads the uploaded file to its end. A file that is cut short, compressed, too large, or not there is an error.
func (s *Server) receive(r *http.Request) (*spool, error) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, foyer.Errorf(foyer.Unsupported, "the body is compressed (%s); send the CSV as it is", oauth.Redact(coding))
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return nil, foyer.Errorf(foyer.Unsupported, "the Content-Type %q cannot be read; send multipart/form-data or text/csv", oauth.Redact(r.Header.Get("Content-Type")))
	}
	out := newSpool(s.SpoolDir, s.Limits.Body)
	switch {
	case kind == "multipart/form-data":
		err = receiveParts(r.Body, params["boundary"], out)
	case bodyTypes[kind]:
		_, err = io.Copy(out, r.Body)
	default:
		err = foyer.Errorf(foyer.Unsupported, "the Content-Type %q is not read here; send multipart/form-data or text/csv", oauth.Redact(kind))
	}
	if err == nil {
		err = out.sniffer.Err()
	}
	if err != nil {
		out.Close()
		return nil, bodyError(err)
	}
	return out, nil
}

// fileName finds in a Content-Disposition that the part is a file. .NET writes the name raw, so the header cannot be parsed as RFC 6266 wants.
var fileName = regexp.MustCompile(`(?i);\s*filename\*?\s*=`)

// receiveParts reads the one file of a multipart body. Its name and type mean nothing: .NET puts there what the script set for the request.
func receiveParts(body io.Reader, boundary string, out *spool) error {
	if boundary == "" {
		return foyer.Errorf(foyer.Malformed, "the Content-Type multipart/form-data names no boundary")
	}
	end := &tail{from: body}
	parts := multipart.NewReader(end, boundary)
	files, count := 0, 0
	for ; ; count++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var to io.Writer = io.Discard
		if fileName.MatchString(part.Header.Get("Content-Disposition")) {
			if files++; files > 1 {
				return foyer.Errorf(foyer.Malformed, "the body holds more than one file; send one")
			}
			to = out
		}
		if _, err := io.Copy(to, part); err != nil {
			return err
		}
	}
	// multipart.Reader takes a body that ends in a boundary for whole; so would it be when cut there (R20).
	if _, err := io.Copy(io.Discard, end); err != nil {
		return err
	}
	if count > 0 && !bytes.Contains(end.last, []byte("--"+boundary+"--")) {
		return io.ErrUnexpectedEOF
	}
	if files == 0 {
		return foyer.Errorf(foyer.Malformed, "the body holds no file: send it as a file part of multipart/form-data, or as the body with Content-Type text/csv")
	}
	return nil
}

// tail remembers the end of what is read through it.
type tail struct {
	from io.Reader
	last []byte
}

// tailSize is how much of the end is remembered, in bytes: the last boundary and what programs put behind it.
const tailSize = 4 << 10

// Read reads on.
func (t *tail) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.last = append(t.last, p[max(0, n-tailSize):n]...)
	if extra := len(t.last) - tailSize; extra > 0 {
		t.last = append(t.last[:0], t.last[extra:]...)
	}
	return n, err
}

// bodyError says of an error of the connection that the body was cut short.
func bodyError(err error) error {
	if _, ok := errors.AsType[*foyer.Error](err); ok {
		return err
	}
	return foyer.Errorf(foyer.Malformed, "the body was cut short: the upload did not arrive whole; nothing was changed, send it again").Because(unquoted(err))
}

// unquoted is an error of reading a body, without the line of it that the parsers quote: it may be anybody's.
func unquoted(err error) error {
	if _, network := errors.AsType[net.Error](err); network || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("the body cannot be read: a %T", err)
}

// drainLimit bounds what is read of a body that is refused, and drainTime how long. A client like .NET's or Mono's that is answered before it
// has sent its body sees a broken connection instead of the answer.
const (
	drainLimit = 64 << 20
	drainTime  = 30 * time.Second
)

func drain(r *http.Request) {
	stop := time.Now().Add(drainTime)
	buffer := make([]byte, 32<<10)
	for total := 0; total < drainLimit && time.Now().Before(stop); {
		n, err := r.Body.Read(buffer)
		if total += n; err != nil {
			return
		}
	}
}

// bodyTimeout is how long a client may take for its whole body.
const bodyTimeout = 15 * time.Minute

// timedBody cuts a client that is too slow: without a read deadline net/http waits for ever.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	end     time.Time
}

func (s *Server) timedBody(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	return &timedBody{r.Body, http.NewResponseController(w), s.Limits.Stall, time.Now().Add(bodyTimeout)}
}

// Read reads the next part of the body.
func (b *timedBody) Read(p []byte) (int, error) {
	deadline := time.Now().Add(b.stall)
	if deadline.After(b.end) {
		deadline = b.end
	}
	if err := b.control.SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("set the deadline: %w", err)
	}
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) { // net/http waits for the next request then; were that cut, it would cancel all that comes after on the connection
		b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
