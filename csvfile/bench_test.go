package csvfile

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"testing"

	"foyer"
)

// sample returns a file of the sample format with that many rows, 102 bytes each.
func sample(rows int, quoted bool, first string) []byte {
	var b bytes.Buffer
	b.WriteString("FIRSTNAME,LASTNAME,TITLE,DIVISION,EMAIL,MOBILE,DESKPHONE,SITE\r\n")
	format := "%s%05d,Jones%05d,Manager,Management,rob.jones%07d@test.example,416%07d,4169997777,Toronto HQ\r\n"
	if quoted {
		format = `"%s%05d","Jones%05d","Manager","Management","rob.jones%07d@test.example","416%07d","4169997777","Toronto HQ"` + "\r\n"
	}
	for i := range rows {
		fmt.Fprintf(&b, format, first, i%99999, i%77777, i, i)
	}
	return b.Bytes()
}

func benchmarkReader(b *testing.B, file []byte) {
	var s Sniffer
	s.Write(file)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(file), &s, Options{})
		if err != nil {
			b.Fatal(err)
		}
		var row foyer.Row
		for {
			if err := r.Next(&row); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			rows++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
}

func BenchmarkReader(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkReader(b, sample(100_000, false, "Rob")) })
	b.Run("quoted", func(b *testing.B) { benchmarkReader(b, sample(100_000, true, "Rob")) })
	b.Run("accents", func(b *testing.B) { benchmarkReader(b, sample(100_000, false, "André")) })
}

func BenchmarkEncodingCSV(b *testing.B) {
	for _, kind := range []struct {
		name   string
		quoted bool
	}{{"plain", false}, {"quoted", true}} {
		b.Run(kind.name, func(b *testing.B) {
			file := sample(100_000, kind.quoted, "Rob")
			b.SetBytes(int64(len(file)))
			rows := 0
			for b.Loop() {
				r := csv.NewReader(bytes.NewReader(file))
				r.ReuseRecord = true
				for {
					if _, err := r.Read(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
					rows++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
		})
	}
}

func BenchmarkSniffer(b *testing.B) {
	for _, first := range []string{"Rob", "André", "Роберт"} {
		b.Run(first, func(b *testing.B) {
			file := sample(100_000, false, first)
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				var s Sniffer
				for rest := file; len(rest) > 0; {
					n := min(len(rest), 32<<10)
					s.Write(rest[:n])
					rest = rest[n:]
				}
			}
		})
	}
}
